import t from 'tap'
import { root } from '../support/docs/documents.ts'
import { script } from '../support/processes/script.ts'

const PRELOAD = new URL('../support/processes/preload.js', import.meta.url).href

const stray = (statement: string) =>
  script(
    `import '${PRELOAD}'
     import t from 'tap'
     t.test('in here', async (t) => {
       t.pass()
       ${statement}
       await new Promise((resolve) => setTimeout(resolve, 10))
     })`,
    [],
    { cwd: root },
  )

t.test('an error that no test caught fails its file', async (t) => {
  const strays = [
    `void Promise.reject(new Error('a stray one'))`,
    `void (async () => { await null; await null; throw new Error('a stray one') })()`,
    `setTimeout(() => { throw new Error('a stray one') })`,
    `setTimeout(async () => { await null; throw new Error('a stray one') })`,
    `process.nextTick(() => { throw new Error('a stray one') })`,
  ]
  const all = await Promise.all([...strays, ''].map(stray))
  const results = all.map(({ code, stdout }) => ({
    failed: code !== 0,
    reported: /not ok \d+ - a stray one/.test(stdout),
  }))
  t.same(results, [
    ...strays.map(() => ({ failed: true, reported: true })),
    { failed: false, reported: false },
  ])
})
