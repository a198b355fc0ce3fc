import { relative } from 'node:path'
import t from 'tap'
import { root } from '../support/docs/documents.ts'
import { script } from '../support/processes/script.ts'

const support = (name: string) => new URL(`../support/processes/${name}`, import.meta.url).href

t.test('each file of a group has its own t, and fails alone', async (t) => {
  const folder = t.testdir({
    'a.test.ts': `
      import t from 'tap'
      t.teardown(() => console.log('# the end of a'))
      t.test('in a', async (t) => t.pass())`,
    'b.test.ts': `
      import t from 'tap'
      t.test('in b', async (t) => t.fail())`,
    'c.test.ts': `throw new Error('c cannot be loaded')`,
    'd.test.ts': `
      import t from 'tap'
      t.test('in d', async (t) => t.pass())`,
  })
  const { code, stdout } = await script(
    `import '${support('preload.js')}'
     import t from 'tap'
     import { runGroup } from '${support('test-group.ts')}'
     await runGroup(t, '${relative(root, folder)}/*.test.ts')`,
    [],
    { cwd: root },
  )
  t.equal(code, 1)
  t.same(
    [...stdout.matchAll(/^((?:not )?ok) \d+ - .*\/(\w)\.test\.ts/gm)].map(([, result, file]) => [
      file,
      result,
    ]),
    [
      ['a', 'ok'],
      ['b', 'not ok'],
      ['c', 'not ok'],
      ['d', 'ok'],
    ],
  )
  t.match(stdout, 'c cannot be loaded')
  t.ok(stdout.indexOf('# the end of a') < stdout.indexOf('Subtest: in b'), 'a ends before b begins')
})
