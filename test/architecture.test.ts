/** DESIGN, "Imports go down only", and the laws that can be read from the text of the sources. */
import t from 'tap'
import { METHOD_NAMES } from '../src/oauth/client-auth/index.ts'
import { GRANT_NAMES } from '../src/oauth/grants/index.ts'
import { repositoryFiles } from './support/docs/documents.ts'
import { code, type Import, imports, sourceFiles, sourceText } from './support/docs/source-imports.ts'

const ours = imports.filter(({ to }) => /^(src|packages|@keyturn)\//.test(to))
const shown = ({ from, to, typeOnly }: Import) => `${from} → ${to}${typeOnly ? ' (type)' : ''}`

interface Layer {
  /** May be imported and used. */
  readonly uses: readonly string[]
  /** May be imported as types: known by its shape, not by its code. */
  readonly knows: readonly string[]
}

/**
 * From the ground up. Each layer may import itself, and what its row names: a folder with all below it, or a
 * file. The store's inside and the verifier have rules of their own.
 */
const LAYERS: Readonly<Record<string, Layer>> = {
  'src/system.ts': { uses: [], knows: [] },
  'src/single-flight.ts': { uses: [], knows: [] },
  'src/issuer-path.ts': { uses: [], knows: [] },
  'src/durable-file.ts': { uses: [], knows: [] },
  'src/loopback.ts': { uses: [], knows: [] },
  'src/version.ts': { uses: [], knows: [] },
  'src/errors.ts': { uses: [], knows: [] },
  'src/audit/failure-details.ts': { uses: [], knows: [] },
  'src/audit/events.ts': { uses: [], knows: ['src/audit/failure-details.ts', 'src/system.ts'] },
  'src/audit/': {
    // Which failures pass.
    uses: ['src/store/db.ts'],
    knows: ['src/audit/events.ts', 'src/store/contracts/', 'src/system.ts'],
  },
  'src/node/change-poller.ts': { uses: [], knows: ['src/store/db.ts', 'src/system.ts'] },
  // How often the store is polled.
  'src/node/staleness.ts': { uses: ['src/node/change-poller.ts'], knows: ['src/system.ts'] },
  'src/node/cluster-clock.ts': { uses: [], knows: ['src/system.ts'] },
  'src/node/prune.ts': {
    // How long a batch took.
    uses: ['src/store/retention.ts', 'src/system.ts'],
    knows: ['src/store/index.ts'],
  },
  'src/node/heartbeat.ts': {
    // After which time a node counts as gone: part of the contract.
    uses: ['src/store/contracts/nodes.ts'],
    knows: ['src/keys/master-keys.ts', 'src/keys/live-ring.ts', 'src/store/contracts/', 'src/system.ts'],
  },
  'src/log': { uses: [], knows: [] },
  'src/config/': { uses: [], knows: ['src/system.ts'] },
  'src/store/contracts/': { uses: [], knows: ['src/system.ts'] },
  'src/store/sql/': {
    // How long a list is, and how many passkeys anybody has: part of their contracts.
    uses: ['src/store/db.ts', 'src/store/contracts/status.ts', 'src/store/contracts/factors.ts'],
    knows: ['src/store/contracts/', 'src/system.ts'],
  },
  // Which program this is, against what the store says of who can use it.
  'src/store/': { uses: ['src/store/', 'src/version.ts'], knows: ['src/system.ts'] },
  'src/keys/': {
    uses: ['src/store/db.ts', 'src/store/retention.ts', 'src/config/parsers.ts'],
    knows: ['src/store/contracts/', 'src/audit/events.ts', 'src/system.ts'],
  },
  'src/tokens/': {
    // How somebody signed in, in the words that tokens have for it.
    uses: ['src/accounts/amr.ts'],
    knows: [
      'src/keys/data-keys.ts',
      'src/keys/signer.ts',
      'src/store/contracts/',
      'src/oauth/authorization.ts',
      'src/status/status-index-allocator.ts',
      'src/system.ts',
    ],
  },
  'src/status/': {
    uses: ['src/store/contracts/status.ts'],
    knows: ['src/store/contracts/', 'src/keys/signer.ts', 'src/keys/data-keys.ts', 'src/system.ts'],
  },
  'src/accounts/': {
    uses: ['src/keys/encryption.ts', 'src/keys/data-keys.ts', 'src/store/contracts/factors.ts'],
    knows: ['src/store/contracts/', 'src/audit/events.ts', 'src/system.ts'],
  },
  'src/oauth/': {
    // The media type of our own tokens, which tells them from other JWTs.
    uses: ['src/tokens/access-token.ts', 'src/tokens/logout-token.ts', 'src/accounts/amr.ts'],
    knows: [
      'src/tokens/',
      'src/accounts/',
      'src/store/contracts/',
      'src/keys/signer.ts',
      'src/keys/encryption.ts',
      'src/status/',
      'src/config/load.ts',
      'src/audit/events.ts',
      'src/audit/failure-details.ts',
      'src/system.ts',
    ],
  },
  'src/metrics/': {
    // The closed lists that labels are taken from, and what the ring's numbers mean.
    uses: [
      'src/audit/events.ts',
      'src/version.ts',
      'src/oauth/errors.ts',
      'src/oauth/grants/index.ts',
      'src/keys/',
      'src/store/db.ts',
      'src/store/retention.ts',
    ],
    knows: [
      'src/accounts/concurrency-limiter.ts',
      'src/audit/',
      'src/status/',
      'src/store/',
      'src/system.ts',
    ],
  },
  'src/tracing/': {
    uses: ['src/store/db.ts', 'src/version.ts'],
    knows: [
      'src/accounts/concurrency-limiter.ts',
      'src/keys/signer.ts',
      'src/oauth/',
      'src/store/monitored-db.ts',
      'src/config/tracing.ts',
      'src/audit/events.ts',
      'src/node/change-poller.ts',
      'src/node/heartbeat.ts',
      'src/system.ts',
    ],
  },
  // Pages: models in, HTML out.
  'src/views/': { uses: [], knows: [] },
  'src/http/': {
    // What is thrown below is told from what is thrown by mistake.
    uses: ['src/oauth/', 'src/accounts/', 'src/views/', 'src/keys/known-verifiers.ts', 'src/store/db.ts'],
    knows: [
      'src/keys/',
      'src/status/',
      'src/store/contracts/',
      'src/config/',
      'src/metrics/',
      'src/tracing/tracing.ts',
      'src/audit/events.ts',
      'src/system.ts',
    ],
  },
  'src/http/app.ts': {
    uses: ['src/http/'],
    knows: ['src/config/', 'src/metrics/', 'src/tracing/', 'src/system.ts'],
  },
  'src/node/base.ts': {
    uses: [
      'src/keys/',
      'src/store/',
      'src/audit/',
      'src/audit/events.ts',
      'src/system.ts',
      'src/node/cluster-clock.ts',
      'src/tracing/tracing.ts',
    ],
    knows: [
      'src/accounts/concurrency-limiter.ts',
      'src/config/',
      'src/metrics/',
      'src/oauth/',
      'src/node/heartbeat.ts',
    ],
  },
  'src/node/background-jobs.ts': {
    uses: [
      'src/accounts/reencrypt-factors.ts',
      'src/keys/',
      'src/oauth/logout/logout-outbox.ts',
      'src/oauth/logout/send-logout-token.ts',
      'src/node/heartbeat.ts',
      'src/node/prune.ts',
      'src/tracing/tracing.ts',
      'src/version.ts',
    ],
    knows: ['src/node/base.ts', 'src/node/change-poller.ts', 'src/oauth/registry.ts'],
  },
  'src/node/server.ts': {
    uses: [
      'src/accounts/',
      'src/oauth/',
      'src/tokens/',
      'src/keys/',
      'src/status/',
      // Addresses that tokens and documents carry; no more of HTTP.
      'src/http/routes.ts',
      'src/views/assets.ts',
      'src/node/background-jobs.ts',
      'src/node/staleness.ts',
      'src/tracing/tracing.ts',
    ],
    knows: ['src/node/base.ts', 'src/config/', 'src/http/services.ts', 'src/node/change-poller.ts'],
  },
  'src/cli/': { uses: ['src/'], knows: [] },
  'src/main.ts': { uses: ['src/cli/'], knows: [] },
  // What services install: neither knows the server, nor the other.
  'packages/verify/': { uses: [], knows: [] },
  'packages/browser-session/': { uses: [], knows: [] },
}

/** Mechanisms that import nothing of ours. Every layer of the server may use them. */
const MECHANISMS = [
  'src/errors.ts',
  'src/single-flight.ts',
  'src/durable-file.ts',
  'src/issuer-path.ts',
  'src/loopback.ts',
]

/** The layer with the longest name that fits. */
function layerOf(path: string): [string, Layer] | undefined {
  return Object.entries(LAYERS)
    .filter(([name]) => path.startsWith(name))
    .sort(([a], [b]) => b.length - a.length)[0]
}

t.test('imports only point from higher layers to lower layers', async (t) => {
  t.ok(ours.length > 300, 'the imports were read')
  t.same(
    sourceFiles.filter((path) => layerOf(path) === undefined),
    [],
    'every file has its place',
  )
  const within = (path: string, names: readonly string[]) => names.some((name) => path.startsWith(name))
  const upward = ours.filter(({ from, to, typeOnly }) => {
    const [name = '', { uses, knows }] = layerOf(from) ?? ['', { uses: [], knows: [] }]
    if (to.startsWith(name) || within(to, uses) || (typeOnly && within(to, knows))) return false
    return !within(to, MECHANISMS) || from.startsWith('packages/')
  })
  t.same(upward.map(shown), [])
  for (const [from, to] of [
    ['src/cli/', 'src/main.ts'],
    ['src/', 'packages/'],
  ] as const) {
    t.notOk(
      ours.some((one) => one.from.startsWith(from) && one.to.startsWith(to)),
      `${from} → ${to}`,
    )
  }
})

t.test('every layer permission is used by some import', async (t) => {
  for (const [name, { uses, knows }] of Object.entries(LAYERS)) {
    const all = ours.filter(({ from }) => layerOf(from)?.[0] === name)
    for (const allowed of uses) {
      t.ok(
        all.some(({ to, typeOnly }) => !typeOnly && to.startsWith(allowed)),
        `${name} uses ${allowed}`,
      )
    }
    for (const allowed of knows) {
      // In the design, and not needed so far.
      if (allowed === 'src/store/contracts/' && name === 'src/tokens/') continue
      t.ok(
        all.some(({ to }) => to.startsWith(allowed)),
        `${name} knows ${allowed}`,
      )
    }
  }
})

t.test('no file imports a file that imports it, not even for a type', async (t) => {
  const next = new Map<string, string[]>()
  for (const { from, to } of ours) next.set(from, [...(next.get(from) ?? []), to])
  const done = new Set<string>()
  const circles: string[] = []
  const walk = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(' → '))
    if (done.has(path) || way.includes(path)) return
    for (const to of next.get(path) ?? []) walk(to, [...way, path])
    done.add(path)
  }
  for (const path of sourceFiles) walk(path, [])
  t.same(circles, [])
})

/** Packages that one part of the program has to itself. */
const HOMES: readonly (readonly [RegExp, readonly string[], readonly string[]])[] = [
  // Types only elsewhere: `serve` and the verifier's plugin hold an instance, and never make one.
  [/^(fastify|@fastify\/.*)$/, ['src/http/', 'src/http/app.ts'], ['src/cli/serve.ts', 'packages/']],
  [/^better-sqlite3$/, ['src/store/sqlite'], []],
  [/^argon2$/, ['src/accounts/password.ts'], []],
  [/^@simplewebauthn\/server/, ['src/accounts/passkeys.ts', 'src/accounts/webauthn-response.ts'], []],
  [/^uqr$/, ['src/views/'], []],
  [/^otpauth$/, ['src/accounts/totp.ts'], []],
  [/^pino/, ['src/log/logger.ts'], []],
  [/^prom-client$/, ['src/metrics/'], []],
  [/^@opentelemetry\//, ['src/tracing/'], []],
  [/^commander$/, ['src/cli/'], []],
  [/^ipaddr\.js$/, ['src/loopback.ts', 'src/accounts/ip-prefix.ts', 'src/config/parsers.ts'], []],
  [/^negotiator$/, ['src/http/', 'src/views/texts/'], []],
  [/^fresh$/, ['src/http/'], []],
  [/^jose$/, ['src/keys/', 'src/oauth/client-auth/', 'src/cli/demo-story.ts'], []],
]

t.test('each npm package is imported in only one place', async (t) => {
  for (const [name, homes, types] of HOMES) {
    const strays = imports.filter(
      ({ from, to, typeOnly }) =>
        name.test(to) &&
        !homes.some((home) => from.startsWith(home)) &&
        !(typeOnly && types.some((home) => from.startsWith(home))),
    )
    t.same(strays.map(shown), [], String(name))
    t.ok(
      imports.some(({ to }) => name.test(to)),
      `${name} is used`,
    )
  }
})

t.test('the aggregates of the store are assembled in one place', async (t) => {
  const joined = ours.filter(
    ({ to, from }) => to.startsWith('src/store/sql/') && !from.startsWith('src/store/sql/'),
  )
  t.same(new Set(joined.map(({ from }) => from)), new Set(['src/store/index.ts']))
  const engines = ours.filter(
    ({ to, from }) => /^src\/store\/sqlite/.test(to) && !/^src\/store\/sqlite/.test(from),
  )
  t.same(new Set(engines.map(({ from }) => from)), new Set(['src/store/index.ts']))
})

t.test('SQL statements appear only in the store', async (t) => {
  const sql = /\b(SELECT\s|INSERT INTO|DELETE FROM|UPDATE\s+\w+\s+SET|CREATE TABLE|PRAGMA\s)/
  // The doctor asks the engine itself how it is.
  const doctor = 'src/cli/doctor-store.ts'
  const strays = sourceFiles.filter((path) => !path.startsWith('src/store/') && sql.test(code(path)))
  t.same(strays, [doctor])
})

t.test('the pure ring module imports no store, network or library code', async (t) => {
  for (const { to, typeOnly } of imports.filter(({ from }) => from === 'src/keys/ring.ts')) t.ok(typeOnly, to)
  t.notMatch(code('src/keys/ring.ts'), /\basync\b|\bawait\b|Promise/)
})

/** Without the verifier, which runs in other people's programs and takes the machine as its default there. */
const server = sourceFiles.filter((path) => !path.startsWith('packages/'))

/** What the machine gives, the one place that takes it, and the exceptions with their reasons. */
const FROM_THE_MACHINE: readonly {
  readonly what: string
  readonly pattern: RegExp
  readonly home: readonly string[]
  readonly except: Readonly<Record<string, string>>
}[] = [
  {
    what: 'the time',
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)|\bDate\(\)/,
    home: ['src/system.ts'],
    except: {},
  },
  {
    what: 'the monotonic clock',
    pattern: /\bperformance\b|\bhrtime\b/,
    home: ['src/system.ts'],
    except: {
      'src/store/sqlite/sqlite.ts': 'how long a lock is waited for is no matter of what time it is',
      'src/store/sqlite/file.ts': 'nor how often files are looked at',
      'src/metrics/time-store.ts': 'nor how long the store took',
      'src/cli/demo-story.ts': 'a deadline for a server in another process, which has the real time',
      'src/cli/doctor-server.ts': 'the same',
    },
  },
  {
    what: 'randomness',
    pattern: /\bMath\.random\b|\brandom(Bytes|UUID|Int|FillSync|Fill)\b|\bgetRandomValues\b/,
    home: ['src/system.ts'],
    except: {},
  },
  {
    what: 'the process',
    pattern: /\bprocess\s*[.[]|\bfrom 'node:process'/,
    home: ['src/main.ts'],
    except: {
      'src/cli/doctor-checks.ts': 'whose the master key is',
      'src/store/sqlite/integrity-check.ts': 'which Node.js runs',
      'src/store/sqlite/integrity-check-process.ts': 'is one of its own',
    },
  },
  {
    what: 'the environment',
    pattern: /\bprocess\.env\b/,
    home: ['src/main.ts'],
    except: {},
  },
]

t.test('time, randomness and process access are each read in one place', async (t) => {
  for (const { what, pattern, home, except } of FROM_THE_MACHINE) {
    const takers = server.filter((path) => pattern.test(code(path)))
    t.same(takers, [...home, ...Object.keys(except)].sort(), what)
  }
})

t.test('the process is ended in only one place', async (t) => {
  t.same(
    sourceFiles.filter((path) =>
      /\bprocess\.exit\b|\bprocess\.exitCode\b|\bprocess\.abort\b/.test(code(path)),
    ),
    ['src/main.ts'],
  )
})

t.test('token lifetimes are never passed to jose as text', async (t) => {
  for (const path of sourceFiles)
    t.notMatch(code(path), /setExpirationTime|setIssuedAt|maxTokenAge:\s*'/, path)
})

t.test('folders are named for what they own, files use kebab-case, and there are no enums', async (t) => {
  const paths = repositoryFiles().filter((path) => /^(src|packages|test)\/.*\.ts$/.test(path))
  t.ok(paths.length > 200)
  t.same(
    paths.filter((path) => /(^|\/)(utils?|helpers?|common|misc|lib)(\/|\.ts$)/.test(path)),
    [],
  )
  // A second part of the name says what kind of file it is: x.test.ts, x.soak.ts, x.d.ts.
  t.same(
    paths.filter((path) => !/^([a-z0-9-]+\/)*[a-z0-9-]+(\.[a-z]+)?\.ts$/.test(path)),
    [],
  )
  t.same(
    sourceFiles.filter((path) => /^\s*(export\s+)?(const\s+)?enum\s/m.test(code(path))),
    [],
  )
})

t.test('every export is a named export', async (t) => {
  t.same(
    sourceFiles.filter((path) => /^export default\b/m.test(code(path))),
    [],
  )
})

t.test('each list or contract file states what it owns and what it must not know', async (t) => {
  for (const path of [
    'src/http/routes.ts',
    'src/oauth/grants/grant.ts',
    'src/oauth/grants/index.ts',
    'src/oauth/client-auth/method.ts',
    'src/oauth/client-auth/index.ts',
    'src/store/db.ts',
    'src/store/index.ts',
    'src/keys/ring.ts',
    'src/config/fields.ts',
    'src/system.ts',
    'src/audit/events.ts',
    'src/node/base.ts',
    'src/node/server.ts',
  ]) {
    t.match(sourceText(path), /^\/\*\*[\s\S]*?(must not|Must not|only|one place)[\s\S]*?\*\//, path)
  }
})

t.test(
  'each grant and client authentication method is a file named after its row in the table',
  async (t) => {
    for (const [folder, names] of [
      ['src/oauth/grants/', GRANT_NAMES],
      ['src/oauth/client-auth/', METHOD_NAMES],
    ] as const) {
      const files = imports
        .filter(
          ({ from, to, typeOnly }) => from === `${folder}index.ts` && to.startsWith(folder) && !typeOnly,
        )
        .map(({ to }) => to)
      t.same(files.sort(), names.map((name) => `${folder}${name.replaceAll('_', '-')}.ts`).sort())
    }
  },
)
