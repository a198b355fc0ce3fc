/** Rules of docs/architecture.md that can be read from the text of the sources: layers, circles, homes of packages, style. */
import { matchesGlob } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { METHOD_NAMES } from '../src/oauth/client-auth/index.ts'
import { GRANT_NAMES } from '../src/oauth/grants/index.ts'
import { read, repositoryFiles } from './support/docs/documents.ts'
import { code, type Import, imports, sourceFiles, sourceText } from './support/docs/source-imports.ts'

const ours = imports.filter(({ to }) => /^(src|packages|@keyturn)\//.test(to))
const shown = ({ from, to, typeOnly }: Import) => `${from} → ${to}${typeOnly ? ' (type)' : ''}`

/** Mechanisms that know nothing of Keyturn. Every layer of the server may use them. */
const MECHANISMS = [
  'src/algorithm-names.ts',
  'src/errors.ts',
  'src/command-line.ts',
  'src/printable.ts',
  'src/secret-file.ts',
  'src/text.ts',
  'src/single-flight.ts',
  'src/reloaded-files.ts',
  'src/durable-file.ts',
  'src/image-type.ts',
  'src/ip-address.ts',
  'src/issuer-path.ts',
  'src/loopback.ts',
  'src/package-files.ts',
  'src/path-segment.ts',
  'src/resource-uri.ts',
  'src/version.ts',
  'src/visible-text.ts',
  'src/worker-program.ts',
]

/**
 * The layers from the bottom up. A file may import files of its own layer and of earlier layers in this list. A folder
 * stands for the files in it, except for files listed by name.
 */
const LAYERS: readonly (readonly string[])[] = [
  [...MECHANISMS, 'src/system.ts'],
  ['src/config/', 'src/log/', 'src/views/'],
  ['src/store/'],
  ['src/audit/'],
  ['src/keys/'],
  ['src/status/'],
  // Also what the token issuer reads: the granted scopes and how the user authenticated.
  ['src/tokens/', 'src/oauth/authorization.ts', 'src/accounts/amr.ts'],
  ['src/accounts/'],
  ['src/oauth/'],
  ['src/admin/'],
  ['src/metrics/', 'src/tracing/'],
  ['src/http/'],
  ['src/node/'],
  ['src/cli/'],
  ['src/main.ts'],
]

/** The files and folders that may import only themselves, mechanisms and what is listed here, whatever their layer. */
const ISOLATED: Readonly<Record<string, readonly string[]>> = {
  'src/system.ts': [],
  'src/config/': ['src/system.ts'],
  'src/log/': [],
  // Pages: model → HTML.
  'src/views/': [],
  'src/store/': ['src/system.ts', 'src/worker-program.ts'],
  'src/store/contracts/': ['src/system.ts'],
  'src/audit/events.ts': ['src/audit/failure-details.ts', 'src/system.ts'],
  'src/node/staleness.ts': ['src/node/change-poller.ts', 'src/system.ts'],
  'src/node/cluster-clock.ts': ['src/system.ts'],
  'src/node/change-poller.ts': ['src/node/background-jobs.ts', 'src/store/db.ts', 'src/system.ts'],
  'src/main.ts': ['src/cli/'],
  // Packages that services install. No package may import the server or another package.
  'packages/verify/': [],
  'packages/browser-session/': [],
}

/** The number of the layer with the longest matching name, or -1 if there is none. */
function layerOf(path: string): number {
  const fits = LAYERS.flatMap((names, layer) =>
    names.filter((name) => path.startsWith(name)).map((name) => ({ name, layer })),
  )
  return fits.sort((a, b) => b.name.length - a.name.length)[0]?.layer ?? -1
}

t.test('imports only point from higher layers to lower layers, including imports of types', async (t) => {
  const server = sourceFiles.filter((path) => path.startsWith('src/'))
  t.ok(ours.length > 300, 'the imports could be read')
  t.same(
    server.filter((path) => layerOf(path) < 0),
    [],
    'every file has a layer',
  )
  const upward = ours.filter(
    ({ from, to }) => from.startsWith('src/') && (!to.startsWith('src/') || layerOf(to) > layerOf(from)),
  )
  t.same(upward.map(shown), [])
  const used = new Set(ours.map(({ to }) => layerOf(to)))
  t.same(
    LAYERS.flatMap((names, layer) => (used.has(layer) || names.includes('src/main.ts') ? [] : names)),
    [],
    'every layer is imported',
  )
})

t.test('packages, views, clocks and other isolated parts import nothing else of the server', async (t) => {
  for (const [name, allowed] of Object.entries(ISOLATED)) {
    const mechanisms = name.startsWith('packages/') ? [] : MECHANISMS
    const inside = [name, ...allowed, ...mechanisms]
    const strays = ours.filter(
      ({ from, to }) => from.startsWith(name) && !inside.some((one) => to.startsWith(one)),
    )
    t.same(strays.map(shown), [], name)
    for (const one of allowed) {
      t.ok(
        ours.some(({ from, to }) => from.startsWith(name) && to.startsWith(one)),
        `${name} imports ${one}`,
      )
    }
  }
})

t.test('only nodes and commands open the store; all other parts use its contracts', async (t) => {
  const opens = /^src\/store\/(index|migrate|transfer|monitored-db|tables|sqlite|postgres)/
  const strays = ours.filter(
    ({ from, to, typeOnly }) => !typeOnly && opens.test(to) && !/^src\/(store|node|cli)\//.test(from),
  )
  t.same(strays.map(shown), [])
})

t.test('there are no import cycles, not even through types', async (t) => {
  const next = new Map<string, string[]>()
  for (const { from, to } of ours) {
    next.set(from, [...(next.get(from) ?? []), to])
  }
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

/** Packages that only one part of the program may import. */
const HOMES: readonly (readonly [RegExp, readonly string[], readonly string[]])[] = [
  // Elsewhere only types are imported: `serve` and the verifier’s plugin use an instance and never create one.
  [/^(fastify|@fastify\/.*)$/, ['src/http/', 'src/http/app.ts'], ['src/cli/run-server.ts', 'packages/']],
  [/^better-sqlite3$/, ['src/store/sqlite/connect.ts'], ['src/store/sqlite']],
  [/^@zxcvbn-ts\//, ['src/accounts/password-rules.ts'], []],
  [/^argon2$/, ['src/accounts/password.ts'], []],
  [/^@simplewebauthn\/server/, ['src/accounts/passkeys.ts', 'src/accounts/webauthn-response.ts'], []],
  [/^@peculiar\//, ['src/oauth/mtls/certificate-parts.ts'], []],
  [/^uqr$/, ['src/views/'], []],
  [/^otpauth$/, ['src/accounts/totp.ts'], []],
  [/^pino/, ['src/log/logger.ts'], []],
  [/^prom-client$/, ['src/metrics/'], []],
  [/^@opentelemetry\//, ['src/tracing/'], []],
  [/^commander$/, ['src/cli/'], []],
  [
    /^ipaddr\.js$/,
    [
      'src/ip-address.ts',
      'src/loopback.ts',
      'src/accounts/ip-prefix.ts',
      'src/config/parsers.ts',
      'src/http/trusted-proxies.ts',
    ],
    [],
  ],
  [/^typebox$/, ['src/admin/', 'src/http/admin/'], []],
  [/^ajv$/, ['src/http/admin/'], []],
  [/^yaml$/, ['src/admin/declared/'], []],
  [/^negotiator$/, ['src/http/', 'src/views/texts/'], []],
  [/^fresh$/, ['src/http/'], []],
  [/^openid-client$/, ['src/cli/remote/'], []],
  [/^jose(\/|$)/, ['src/keys/', 'src/oauth/client-auth/', 'src/cli/demo-steps.ts'], []],
]

t.test('each npm package is imported only where it belongs', async (t) => {
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

t.test(
  'the parts of jose that are used are imported one by one, because the whole takes twice as long to load',
  (t) => {
    const whole = imports.filter(
      ({ from, to, typeOnly }) => to === 'jose' && !typeOnly && from.startsWith('src/'),
    )
    t.same(
      whole.map(({ from }) => from),
      ['src/cli/demo-steps.ts'],
      'the demo shows what a program that verifies tokens imports',
    )
    t.end()
  },
)

t.test('only store/index.ts imports the SQL implementations and the engines', async (t) => {
  const joined = ours.filter(
    ({ to, from }) => to.startsWith('src/store/sql/') && !from.startsWith('src/store/sql/'),
  )
  t.same(new Set(joined.map(({ from }) => from)), new Set(['src/store/index.ts']))
  const engines = ours.filter(
    ({ to, from }) => /^src\/store\/sqlite/.test(to) && !/^src\/store\/sqlite/.test(from),
  )
  t.same(new Set(engines.map(({ from }) => from)), new Set(['src/store/index.ts']))
})

t.test('only the store contains SQL', async (t) => {
  const sql = /\b(SELECT\s|INSERT INTO|DELETE FROM|UPDATE\s+\w+\s+SET|CREATE TABLE|PRAGMA\s)/
  // The doctor asks the engine itself about its state.
  const doctor = 'src/admin/checks/database.ts'
  const strays = sourceFiles.filter((path) => !path.startsWith('src/store/') && sql.test(code(path)))
  t.same(strays, [doctor])
})

t.test('ring.ts is pure: it imports only types and has no asynchronous code', async (t) => {
  for (const { to, typeOnly } of imports.filter(({ from }) => from === 'src/keys/ring.ts')) t.ok(typeOnly, to)
  t.notMatch(code('src/keys/ring.ts'), /\basync\b|\bawait\b|Promise/)
})

/** Without the verifier, which runs inside other programs and uses the machine’s defaults there. */
const server = sourceFiles.filter((path) => !path.startsWith('packages/'))

/** What the machine provides, the one place that reads it, and the exceptions with their reasons. */
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
      'src/store/sqlite/sqlite.ts': 'the timeout of a lock',
      'src/store/postgres/groups.ts': 'how long requests wait for a statement that they can share',
      'src/store/sqlite/writer.ts': 'how long commits take',
      'src/store/sqlite/file.ts': 'the interval between checks of the files',
      'src/metrics/time-store.ts': 'the duration of store calls',
      'src/cli/demo-steps.ts': 'a deadline for a server in another process, which has the real time',
      'src/cli/doctor-server.ts': 'a deadline for a server in another process, which has the real time',
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
      'src/admin/checks/disk.ts': 'the owner of the master key file',
      'src/secret-file.ts': 'the user whose secret it is',
      'src/store/sqlite/integrity-check.ts': 'the path of Node.js',
      'src/store/sqlite/integrity-check-process.ts': 'it runs as a separate process',
    },
  },
  {
    what: 'the environment',
    pattern: /\bprocess\.env\b/,
    home: ['src/main.ts'],
    except: {},
  },
]

t.test('time, randomness and the process are each accessed in one place', async (t) => {
  for (const { what, pattern, home, except } of FROM_THE_MACHINE) {
    const takers = server.filter((path) => pattern.test(code(path)))
    t.same(takers, [...home, ...Object.keys(except)].sort(), what)
  }
})

t.test('only a few listed files read or write files (docs/security.md R3)', async (t) => {
  const reads = /\breadFile(Sync)?\(|\bcreateReadStream\(/
  t.same(
    server.filter((path) => reads.test(code(path))),
    [
      'src/cli/export.ts', // what is published
      'src/config/logo.ts', // bytes, or an SVG that may declare its encoding
      'src/store/migrate.ts', // a part of the program
      'src/text.ts', // every text that an operator has written
      'src/version.ts',
      'src/views/assets.ts',
    ],
  )
  const writes = /\bwriteFile(Sync)?\(|\bcreateWriteStream\(|\bappendFile(Sync)?\(|\bcopyFile(Sync)?\(/
  t.same(
    server.filter((path) => writes.test(code(path))),
    [
      'src/cli/env-file.ts', // into a draft of durable-file.ts
      'src/cli/export.ts', // what is published
      'src/cli/restore.ts', // into a draft of durable-file.ts
      'src/durable-file.ts',
    ],
  )
})

t.test('only one file prints control sequences to a terminal (docs/security.md R2)', async (t) => {
  const sequence = /\\(u001b|u\{1b\}|x1b|033|e\[)/i
  t.same(
    server.filter((path) => sequence.test(sourceText(path))),
    ['src/cli/terminal.ts'],
  )
  t.same(
    server.filter((path) => /\bconsole\.|\b(stdout|stderr)\b/.test(code(path))),
    // The integrity check reads what its child process prints.
    ['src/main.ts', 'src/store/sqlite/integrity-check-process.ts', 'src/store/sqlite/integrity-check.ts'],
    'and only the entry point has the streams',
  )
})

t.test('every change of a registry row increases its revision (docs/security.md R1)', async (t) => {
  const REGISTRY = ['apis', 'clients', 'roles', 'users']
  const statements = sourceFiles.flatMap((path) =>
    [...sourceText(path).matchAll(/\bUPDATE (\w+)\s+SET\b[^`']*/g)]
      .filter(([, table = '']) => REGISTRY.includes(table))
      .map(([sql, table = '']) => ({ path, sql, table })),
  )
  t.same([...new Set(statements.map(({ table }) => table))].sort(), REGISTRY, 'the pattern finds them')
  for (const { path, sql } of statements) t.match(sql, 'revision = revision + 1', `${path}: ${sql}`)
  const replacing = /\b(INSERT INTO (apis|clients|roles|users)\b[^`]*ON CONFLICT[^`]*DO UPDATE|REPLACE INTO)/
  t.same(
    sourceFiles.filter((path) => replacing.test(sourceText(path))),
    [],
    'no statement overwrites a row',
  )
})

t.test('the process is ended in one place', async (t) => {
  t.same(
    sourceFiles.filter((path) =>
      /\bprocess\.exit\b|\bprocess\.exitCode\b|\bprocess\.abort\b/.test(code(path)),
    ),
    ['src/main.ts'],
  )
})

t.test('no token lifetime is passed to jose as text', async (t) => {
  for (const path of sourceFiles)
    t.notMatch(code(path), /setExpirationTime|setIssuedAt|maxTokenAge:\s*'/, path)
})

t.test('a folder is named for what it owns, a file in kebab-case; nothing is an enum', async (t) => {
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

t.test('errors have one base class, and are told apart by class or code', async (t) => {
  const bases = server.filter((path) =>
    /\bclass [^{]*?extends (Type|Range|Syntax|Aggregate)?Error\b/.test(code(path)),
  )
  t.same(bases, ['src/errors.ts'])
  // The DOMExceptions of `AbortSignal.timeout()` and of passkeys in the browser can be told apart only by name.
  const byName = server.filter((path) => /[eE]rror\)?\.name\b *[!=]==|constructor\.name/.test(code(path)))
  t.same(byName, ['src/cli/doctor-server.ts', 'src/views/assets/passkeys.ts'])
})

t.test('every test file is run once: by npm test, alone or in one group, or by test:slow', async (t) => {
  const { include, exclude } = parse(read('.taprc')) as { include: string[]; exclude: string[] }
  const files = repositoryFiles().filter((path) => /^test\/.*\.test\.ts$/.test(path))
  const isIn = (patterns: readonly string[]) => (path: string) =>
    patterns.some((pattern) => matchesGlob(path, pattern))
  const [alone, slow] = [isIn(include), isIn(exclude)]
  /** Pattern → `[share, of]` of its groups. */
  const groups = new Map<string, number[][]>()
  for (const path of files.filter((path) => path.startsWith('test/groups/'))) {
    const [, pattern = '', share = '0', of = '1'] =
      /runGroup\(t, '(.+?)'(?:, (\d+), (\d+))?\)/.exec(read(path)) ?? []
    groups.set(pattern, [...(groups.get(pattern) ?? []), [Number(share), Number(of)]])
  }
  for (const [pattern, shares] of groups)
    t.same(
      shares,
      shares.map((_share, i) => [i, shares.length]),
      `${pattern}: the groups have all shares`,
    )
  const count = (path: string) => [...groups.keys()].filter((pattern) => matchesGlob(path, pattern)).length
  t.same(
    files.filter((path) => Number(alone(path)) + (slow(path) ? 1 : count(path)) !== 1),
    [],
  )
  for (const pattern of [...include, ...exclude, ...groups.keys()])
    t.ok(
      files.some((path) => matchesGlob(path, pattern)),
      `${pattern} matches a file`,
    )
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  t.equal(scripts['test:all'], `${scripts['test:slow']} '${include.join("' '")}'`, 'test:all runs both')
})

t.test('there are no default exports', async (t) => {
  t.same(
    sourceFiles.filter((path) => /^export default\b/m.test(code(path))),
    [],
  )
})

t.test('a list or contract file says what it owns and what it must not know', async (t) => {
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
    'src/audit/index.ts',
    'src/keys/index.ts',
    'src/status/index.ts',
    'src/tokens/index.ts',
    'src/accounts/index.ts',
    'src/oauth/index.ts',
    'src/http/app.ts',
    'src/http/pages/index.ts',
    'src/http/cookies.ts',
    'src/http/csrf.ts',
    'src/node/background-jobs.ts',
    'src/node/base.ts',
    'src/node/server.ts',
  ]) {
    t.match(sourceText(path), /^\/\*\*[\s\S]*?(must not|Must not|only|one place)[\s\S]*?\*\//, path)
  }
})

t.test('a grant or client authentication method is a file named for its row in the table', async (t) => {
  for (const [folder, names] of [
    ['src/oauth/grants/', GRANT_NAMES],
    ['src/oauth/client-auth/', METHOD_NAMES],
  ] as const) {
    const files = imports
      .filter(({ from, to, typeOnly }) => from === `${folder}index.ts` && to.startsWith(folder) && !typeOnly)
      .map(({ to }) => to)
    t.same(files.sort(), names.map((name) => `${folder}${name.replaceAll('_', '-')}.ts`).sort())
  }
})
