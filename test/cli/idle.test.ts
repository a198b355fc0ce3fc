/** An idle server has loaded only part of the installed modules. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { emptyFolder } from '../support/processes/data-folder.ts'

const ENTRY = fileURLToPath(new URL('../../src/keyturn.js', import.meta.url))
/** The target is 120 MB with a warm compile cache; the first start of a checkout takes 30 MB more. */
const MAX_MB = 160

/** Writes the loaded files and Node.js modules, and the size of the young generation, when the process exits. */
const RECORD_LOADED = `
  import { registerHooks } from 'node:module'
  import { writeFileSync } from 'node:fs'
  import { getHeapSpaceStatistics } from 'node:v8'
  const loaded = []
  registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context) } })
  const young = () => getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size
  process.once('exit', () => writeFileSync('loaded.json', JSON.stringify({
    loaded: [...loaded, ...process.moduleLoadList],
    youngGeneration: young(),
  })))`

interface IdleServer {
  readonly loaded: string[]
  /** Bytes. */
  readonly youngGeneration: number
  readonly megabytes: number | undefined
}

async function idleServer(
  t: Test,
  options: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<IdleServer> {
  const folder = emptyFolder(t)
  const settings = Object.entries({ PORT: '0', ...folder.settings })
  const hook = `data:text/javascript,${encodeURIComponent(RECORD_LOADED)}`
  const child = spawn(process.execPath, [...options, '--import', hook, ENTRY, 'serve', '--json'], {
    cwd: folder.path,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      PATH: process.env.PATH,
      ...env,
      ...Object.fromEntries(settings.map(([name, value]) => [`KEYTURN_${name}`, value])),
    },
  })
  const ended = once(child, 'exit')
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const { port } = JSON.parse(line)
  for (const path of ['/health/ready', '/.well-known/jwks.json', '/metrics']) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    t.equal(answer.status, 200, path)
    await answer.text()
  }
  const megabytes =
    process.platform === 'linux'
      ? Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024
      : undefined
  child.kill('SIGTERM')
  await ended
  return { ...JSON.parse(readFileSync(join(folder.path, 'loaded.json'), 'utf8')), megabytes }
}

t.test('an idle server does not load rarely used modules and stays small', async (t) => {
  const { loaded, megabytes } = await idleServer(t as Test)
  const has = (part: string) => loaded.some((one) => one.includes(part))
  t.ok(has('/node_modules/fastify/') && has('/src/node/server.ts'), 'the loaded files were recorded')
  for (const part of [
    '/node_modules/@simplewebauthn/server/',
    '/node_modules/@zxcvbn-ts/',
    '/node_modules/pg/',
    '/node_modules/pino-pretty/',
    '/node_modules/@inquirer/',
    '/node_modules/@opentelemetry/sdk',
    'internal/deps/undici/undici',
    '/src/http/metrics-app.ts',
    // The administration, which is loaded by its first request.
    '/node_modules/typebox/',
    '/node_modules/ajv/',
    '/src/admin/local.ts',
    '/src/http/admin/api.ts',
    '/src/http/admin/console/',
    '/src/views/admin/page.ts',
    '/src/views/admin/texts/',
    '.schema.ts',
  ])
    t.notOk(has(part), part)
  if (megabytes !== undefined) t.ok(megabytes < MAX_MB, `${megabytes.toFixed(0)} MB`)
})

/** Bytes. It may grow once before src/keyturn.js runs, while the program that records is loaded; without a limit it has 16 MB. */
const SMALL = 4 * 1024 * 1024

t.test('an idle server keeps the young generation as small as it began', async (t) => {
  const { youngGeneration } = await idleServer(t as Test)
  t.ok(youngGeneration <= SMALL, `${youngGeneration} bytes`)
})

t.test('an option of Node.js chooses the size of the young generation', async (t) => {
  const option = '--max-semi-space-size=8'
  for (const { youngGeneration } of [
    await idleServer(t as Test, [option]),
    await idleServer(t as Test, [], { NODE_OPTIONS: option }),
  ])
    t.ok(youngGeneration > SMALL, `${youngGeneration} bytes`)
})
