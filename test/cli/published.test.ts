/** The program as the npm package has it: `npm run build` on a copy of the sources, which are removed afterwards. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import type { WriterData } from '../../src/store/sqlite/writer-worker.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'
import { runProgram, startServer } from '../support/processes/process.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

/** @returns the folder of the package */
async function build(folder: string): Promise<string> {
  for (const name of ['package.json', 'migrations', 'src'])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const { scripts } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  // A file of an earlier build would be published too.
  mkdirSync(join(folder, 'dist/old'), { recursive: true })
  const PATH = [join(ROOT, 'node_modules/.bin'), process.env.PATH].join(delimiter)
  await run('sh', ['-c', scripts.build], { cwd: folder, env: { PATH } })
  for (const name of readdirSync(join(folder, 'src')))
    if (name !== 'keyturn.js') rmSync(join(folder, 'src', name), { recursive: true })
  return folder
}

t.test('the published package serves, and its commands and programs of their own run', async (t) => {
  const folder = await build(t.testdir({}))
  const entry = join(folder, 'src/keyturn.js')
  t.notOk(readdirSync(join(folder, 'dist')).includes('old'))

  const data = emptyFolder(t)
  const server = await startServer(t, data, { entry })
  t.equal((await server.inject({ url: '/health/ready' })).statusCode, 200)
  t.equal((await server.inject({ url: '/.well-known/jwks.json' })).json().keys.length, 2)
  const api = await server.inject({ url: '/admin/v1/openapi.json' })
  t.equal(api.statusCode, 200, 'what is loaded late is there')
  const rotation = runProgram(data, ['keys', 'rotate', '--json'], { entry })
  t.same(await rotation.ended, { code: 0, signal: null }, rotation.stderr())
  t.same(await server.stop(), { code: 0, signal: null })

  const help = runProgram(data, ['--help'], { entry })
  await help.ended
  t.match(help.stdout(), /doctor/)
  const usage = runProgram(data, ['sessions', 'revoke'], { entry })
  t.equal((await usage.ended).code, 2)
  t.notMatch(usage.stderr(), /npx/, 'commands are named as the package installs them')

  const { stdout } = await run(process.execPath, [
    join(folder, 'dist/integrity-check-process.js'),
    data.database,
  ])
  t.equal(stdout, 'ok')
  const workerData: WriterData = { file: data.database, identity: 'none none', flushDelay: 0 }
  const writer = new Worker(join(folder, 'dist/writer-worker.js'), { workerData })
  const [error] = await once(writer, 'error')
  t.match(error.message, /store|database/, 'the writer has looked at the file')
  const hashing = new Worker(join(folder, 'dist/hashing-worker.js'))
  const salt = new Uint8Array(16)
  hashing.postMessage({ password: 'x', memory: 256, passes: 1, lanes: 1, length: 32, salt })
  const [hash] = await once(hashing, 'message')
  t.equal(hash.length, 32)
  await hashing.terminate()
})

t.test('every program of its own is in the build', async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  const texts = files
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(ROOT, 'src', name), 'utf8'))
  const programs = texts.flatMap((text) =>
    [...text.matchAll(/(?:programFile|workerProgram)\('([^']+)'\)/g)].map(([, name]) => name),
  )
  t.ok(programs.length > 0)
  for (const name of ['main', ...programs]) t.match(scripts.build, ` src/${name}.ts `)
})

t.test(
  'no other module looks for files beside itself, because in the package it is part of a larger file',
  async (t) => {
    const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    const looking = files.filter(
      (name) =>
        name.endsWith('.ts') &&
        // `createRequire` finds packages, which are above the folder of any module.
        /import\.meta|__dirname/.test(
          readFileSync(join(ROOT, 'src', name), 'utf8').replaceAll('createRequire(import.meta.url)', ''),
        ),
    )
    t.same(looking, ['package-files.ts'])
  },
)
