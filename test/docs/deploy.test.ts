/** Checks examples/deploy against the program, and runs what it describes without containers. */
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { parse } from 'yaml'
import { SHUTDOWN_TIMEOUT_MS } from '../../src/cli/run-server.ts'
import { loadConfig } from '../../src/config/load.ts'
import { codeBlocks, read, root } from '../support/docs/documents.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'
import { keyturn, type ServerProcess, startServer } from '../support/processes/process.ts'
import { freePort } from '../support/server/free-port.ts'
import { parseMetrics } from '../support/server/metrics.ts'
import { tlsFolder } from '../support/server/tls.ts'

const run = promisify(execFile)
const DEPLOY = 'examples/deploy'
/** Where all three deployments have the program. */
const INSTALLED = '/opt/keyturn/'

const localPath = (path: string) => path.replace(INSTALLED, root)
const entries = (env: object) => Object.entries(env).map(([name, value]) => [name, String(value)] as const)

// --- the image

interface Instruction {
  readonly name: string
  readonly rest: string
}

const dockerfile: Instruction[] = read(`${DEPLOY}/Dockerfile`)
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => ({ name: line.split(' ', 1)[0] ?? '', rest: line.slice(line.indexOf(' ') + 1) }))
const all = (name: string) => dockerfile.filter((one) => one.name === name).map(({ rest }) => rest)
/** The instructions of the last stage. */
const last = (name: string) => all(name).at(-1) ?? ''
const list = (name: string): string[] => JSON.parse(last(name))
const imageEnv = Object.fromEntries(
  all('ENV').map((pair) => [pair.split('=', 1)[0] ?? '', pair.slice(pair.indexOf('=') + 1)]),
)
const HEALTH: string[] = JSON.parse(last('HEALTHCHECK').replace(/^.* CMD /, ''))

t.test(
  'the image is built from existing files, on the Node.js version that the repository pins',
  async (t) => {
    const [, major] = /"node": "\^(\d+)\./.exec(read('package.json')) ?? []
    t.same(
      all('FROM').map((from) => from.split(' ')[0]),
      [`node:${major}-slim`, `node:${major}-slim`],
    )
    t.match(all('RUN')[0], /^npm ci --omit=dev /)
    const sources = all('COPY')
      .filter((copy) => !copy.startsWith('--from'))
      .flatMap((copy) => copy.split(' ').slice(0, -1))
    for (const source of sources) t.ok(existsSync(root + source), source)
    const workspaces: string[] = JSON.parse(read('package.json')).workspaces
    for (const path of workspaces) t.ok(sources.includes(`${path}/package.json`), `npm ci needs ${path}`)
    const ignored = read(`${DEPLOY}/Dockerfile.dockerignore`).trim().split('\n')
    t.equal(ignored[0], '*', 'no key, no database and no secret gets into the image')
    t.same(
      ignored.slice(1).sort(),
      [...new Set(sources.map((source) => `!${source.replace(/^src\/.*/, 'src')}`))].sort(),
    )
  },
)

t.test('the image runs as an unprivileged user with settings that exist', async (t) => {
  t.equal(last('USER'), 'node')
  t.equal(last('WORKDIR'), INSTALLED.slice(0, -1))
  const [node, program = ''] = list('ENTRYPOINT')
  t.equal(node, 'node')
  t.ok(existsSync(localPath(program)))
  t.same(list('CMD'), ['serve'])
  const { NODE_ENV, MALLOC_ARENA_MAX, ...settings } = imageEnv
  t.equal(NODE_ENV, 'production')
  t.equal(MALLOC_ARENA_MAX, '2', 'as in the unit')
  const config = loadConfig(settings, '/nonexistent')
  t.equal(config.host, '0.0.0.0')
  t.equal(String(config.port), last('EXPOSE'))
  const volume = last('VOLUME')
  t.ok(config.databaseUrl.startsWith(`sqlite:${volume}/`) && config.keysDir.startsWith(`${volume}/`))
  t.match(all('RUN')[1], `mkdir ${volume} && chown node:node ${volume}`)
})

// --- systemd

const unit = new Map<string, string>()
for (const line of read(`${DEPLOY}/keyturn.service`).split('\n')) {
  const [, name = '', value = ''] = /^([A-Z]\w+)=(.*)$/.exec(line) ?? []
  if (name) unit.set(name, value)
}

t.test('the systemd unit runs the program as its own user with minimal rights', async (t) => {
  const [node, program = '', command] = (unit.get('ExecStart') ?? '').split(' ')
  t.equal(node, '/usr/bin/node')
  t.ok(existsSync(localPath(program)))
  t.equal(command, 'serve')
  t.equal(unit.get('User'), 'keyturn')
  t.equal(unit.get('WorkingDirectory'), `/var/lib/${unit.get('StateDirectory')}`)
  t.equal(unit.get('RestartPreventExitStatus'), '2', 'invalid configuration exits 2')
  const patience = SHUTDOWN_TIMEOUT_MS / 1000
  t.ok(Number(unit.get('TimeoutStopSec')) > patience + 1, 'requests in flight are not cut off')
  for (const [name, value] of [
    ['NoNewPrivileges', 'yes'],
    ['CapabilityBoundingSet', ''],
    ['ProtectSystem', 'strict'],
    ['ProtectHome', 'yes'],
    ['PrivateTmp', 'yes'],
    ['PrivateDevices', 'yes'],
    ['UMask', '0077'],
    ['StateDirectoryMode', '0700'],
    ['SystemCallFilter', '@system-service'],
  ] as const) {
    t.equal(unit.get(name), value, name)
  }
  t.notOk(unit.has('MemoryDenyWriteExecute'), 'Node.js would not start')
  t.match(read(`${DEPLOY}/keyturn.service`), /^Environment=MALLOC_ARENA_MAX=2$/m)
  const settings = (unit.get('EnvironmentFile') ?? '').replace('-', '')
  const page = read(`${DEPLOY}/README.md`)
  t.ok(
    page.includes(settings) && page.includes((unit.get('ExecStart') ?? '').replace(' serve', ' keys status')),
  )
})

const systemd = await run('systemd-analyze', ['--version']).then(
  () => false as const,
  () => 'systemd-analyze is not installed',
)
t.test('systemd accepts the unit', { skip: systemd }, async (t) => {
  const checked = await run('systemd-analyze', ['verify', `${root}${DEPLOY}/keyturn.service`]).catch(
    (error) => error,
  )
  // Where there is no /usr/bin/node, systemd says so, which is not the unit’s fault.
  const complaints = String(checked.stderr)
    .split('\n')
    .filter((line) => line.includes('keyturn.service') && !line.includes('/usr/bin/node'))
  t.same(complaints, [])
})

// --- compose

interface Service {
  readonly image: string
  readonly environment?: Record<string, string>
  readonly secrets?: readonly string[]
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly healthcheck?: unknown
  readonly depends_on?: unknown
}

interface Compose {
  readonly services: Record<string, Service>
  readonly secrets: Record<string, { readonly file: string }>
}

const compose: Compose = parse(read(`${DEPLOY}/compose.yaml`), { merge: true })
const nodes = Object.entries(compose.services).filter(([, { image }]) => image === 'keyturn')
const [, node] = nodes[0] ?? []
const nodeEnv = node?.environment ?? {}
const caddy = read(`${DEPLOY}/Caddyfile`)

t.test('the two nodes share settings and a database, and only the proxy is published', async (t) => {
  t.equal(nodes.length, 2)
  for (const [name, service] of nodes) {
    t.same(service.environment, nodeEnv, name)
    t.equal(service.read_only, true)
    t.same(service.cap_drop, ['ALL'])
    t.equal(service.build?.dockerfile, `${DEPLOY}/Dockerfile`)
  }
  const published = Object.entries(compose.services).filter(([, { ports }]) => ports !== undefined)
  t.same(
    published.map(([name, { ports }]) => [name, ports]),
    [['proxy', ['8080:8080']]],
  )
  t.match(caddy, /^:8080 \{$/m)
  t.equal(new URL(nodeEnv.KEYTURN_ISSUER ?? '').port, '8080')
  const [, upstreams] = /reverse_proxy (.*) \{/.exec(caddy) ?? []
  t.equal(upstreams, nodes.map(([name]) => `${name}:${imageEnv.KEYTURN_PORT}`).join(' '))
  t.match(caddy, 'health_uri /health/ready')
  const targets = parse(read('examples/monitoring/prometheus.yaml')).scrape_configs[0].static_configs[0]
    .targets
  t.same(
    targets,
    nodes.map(([name]) => `${name}:${nodeEnv.KEYTURN_METRICS_PORT}`),
  )
})

t.test('every secret of a service is declared and comes from a file that git ignores', async (t) => {
  const named = Object.values(compose.services).flatMap(({ secrets = [] }) => secrets)
  t.same(new Set(named), new Set(Object.keys(compose.secrets)))
  for (const [name, { file }] of Object.entries(compose.secrets)) t.equal(file, `./secrets/${name}`)
  t.match(read(`${DEPLOY}/.gitignore`), /^secrets\/$/m)
  for (const [name, value] of entries(nodeEnv).filter(([name]) => name.endsWith('_FILE'))) {
    t.ok(node?.secrets?.includes(value.replace('/run/secrets/', '')), name)
  }
})

// --- and everything running

/** Runs the image's health check against a server. */
const healthy = ({ port }: Pick<ServerProcess, 'port'>, env: Record<string, string> = {}) =>
  run(process.execPath, HEALTH.slice(1), { env: { ...env, KEYTURN_PORT: String(port) } }).then(
    () => true,
    () => false,
  )

t.test('the health check of the image works with TLS too', async (t) => {
  const { settings } = await tlsFolder(t.testdir())
  const server = await startServer(t, emptyFolder(t), { settings: { ...settings, MTLS_PORT: '0' } })
  t.ok(await healthy(server, { KEYTURN_TLS_CERT_FILE: settings.TLS_CERT_FILE }))
  t.notOk(await healthy(server), 'plain HTTP')
})

t.test(
  'compose.yaml starts two nodes on one PostgreSQL with the secrets that the page creates',
  async (t) => {
    const folder = emptyFolder(t)
    const [{ text } = { text: '' }] = codeBlocks(read(`${DEPLOY}/README.md`)).filter(
      ({ info }) => info === 'secrets',
    )
    const made = emptyFolder(t).path
    await run('sh', ['-euc', text], { cwd: made })
    const secret = (name: string) => join(made, 'secrets', name)
    t.same(readdirSync(join(made, 'secrets')).sort(), Object.keys(compose.secrets).sort())

    const postgres = await startPostgres(t)
    const databaseUrl = new URL(readFileSync(secret('database-url'), 'utf8'))
    const password = readFileSync(secret('postgres-password'), 'utf8').trim()
    t.same(
      [databaseUrl.username, databaseUrl.password, databaseUrl.hostname],
      ['keyturn', password, 'postgres'],
    )
    t.equal(databaseUrl.username, compose.services.postgres?.environment?.POSTGRES_USER)
    t.equal(databaseUrl.pathname, '/keyturn', 'the image names the database after the user')

    // As in the containers, except for paths.
    const { KEYTURN_DATABASE_URL_FILE: _, ...rest } = nodeEnv
    const given = { ...imageEnv, ...rest, KEYTURN_MASTER_KEY_FILE: secret('master-key') }
    const settings = Object.fromEntries(
      entries(given)
        .filter(([name]) => name.startsWith('KEYTURN_'))
        .map(([name, value]) => [name.replace('KEYTURN_', ''), value]),
    )
    const mine = async () => ({
      settings: {
        ...settings,
        DATABASE_URL: await database,
        // The volume of a container: what the node keeps beside the master key.
        KEYS_DIR: join(made, 'volume'),
        HOST: '127.0.0.1',
        PORT: String(await freePort()),
        METRICS_PORT: '0',
        SHUTDOWN_DELAY: '0s',
      },
    })
    const database = postgres.emptyDatabase()
    const [a, b] = await Promise.all([
      mine().then((options) => startServer(t, folder, options)),
      mine().then((options) => startServer(t, folder, options)),
    ])
    const command = async (...args: string[]) => {
      const done = await keyturn(folder, [...args, '--json'], await mine())
      t.equal(done.code, 0, `${args.join(' ')}: ${done.stderr}`)
      return JSON.parse(done.stdout)
    }
    t.same([await healthy(a), await healthy(b)], [true, true])
    for (const server of [a, b]) {
      t.equal((await server.inject({ url: '/metrics' })).statusCode, 404, 'not where the proxy forwards to')
      const port = JSON.parse(server.stdout()).metrics_port
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`)
      t.equal(parseMetrics(await answer.text()).value('keyturn_ready'), 1)
    }

    const listed = async () =>
      ((await command('nodes')) as { pid: number; state: string }[]).map(({ pid }) => pid)
    // The first heartbeat comes a moment after the first response.
    while ((await listed()).length < 2);
    t.same(new Set(await listed()), new Set([a.pid, b.pid]))
    t.match(await command('keys', 'rotate'), { nodes: 2, nodes_behind: [] }, 'both sign with the new key')

    t.same(await a.stop(), { code: 0, signal: null })
    t.equal(await healthy(a), false)
    t.equal(await healthy(b), true)
    t.same(await listed(), [b.pid], 'a stopped node removes itself from the list')
    await b.stop()
    t.same(readdirSync(folder.path), [], 'a read-only root file system is no obstacle')
  },
)
