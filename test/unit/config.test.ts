import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fields } from '../../src/config/fields.ts'
import { type Config, ConfigError, loadConfig, onPort } from '../../src/config/load.ts'
import { databaseName } from '../../src/store/database-url.ts'
import { root } from '../support/docs/documents.ts'

const NOWHERE = '/nonexistent'
const DAY = 86_400
const LOGO = join(root, 'docs/rotation.svg')
const KEY = Buffer.alloc(32, 7).toString('base64url')
const TLS = { TLS_CERT_FILE: 'server.pem', TLS_KEY_FILE: 'server.key' }

const load = (env: Record<string, string> = {}, cwd = NOWHERE): Config =>
  loadConfig(Object.fromEntries(Object.entries(env).map(([name, value]) => [`KEYTURN_${name}`, value])), cwd)

function problems(env: Record<string, string>, cwd = NOWHERE): readonly string[] {
  try {
    load(env, cwd)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('without any setting every option has its documented default', async (t) => {
  t.same(load(), {
    issuer: 'http://localhost:3000',
    host: '127.0.0.1',
    port: 3000,
    tlsCertFile: null,
    tlsKeyFile: null,
    mtlsPort: null,
    tlsClientCaFile: null,
    metricsPort: null,
    databaseUrl: 'sqlite:data/keyturn.db',
    databasePool: 10,
    databaseTimeout: 5,
    keysDir: 'keys',
    storeRecordFile: 'keys/store.json',
    masterKey: null,
    masterKeyNext: null,
    algorithms: ['RS256'],
    accessTokenTtl: 600,
    refreshTokenTtl: 30 * DAY,
    refreshIdleTtl: 7 * DAY,
    refreshGrace: 10,
    jwksMaxAge: 300,
    verifierCache: DAY,
    keyRotation: 30 * DAY,
    defaultAudience: 'http://localhost:3000',
    statusTtl: 10,
    trustProxy: 0,
    admin: true,
    adminPort: null,
    dpopNonce: false,
    maxConnections: 2000,
    shutdownDelay: 0,
    minPasswordLength: 8,
    brandName: 'Keyturn',
    brandColor: '#3949b8',
    brandLogo: null,
    auditRetention: 90 * DAY,
    logLevel: 'info',
    logPretty: 'auto',
    tracing: null,
    ignoredVariables: [],
  })
})

t.test('every row of the settings table is a member of Config, named as in the environment', async (t) => {
  const camel = (name: string) => name.toLowerCase().replace(/_(.)/g, (_, letter) => letter.toUpperCase())
  for (const [key, { name }] of Object.entries(fields)) t.equal(key, camel(name))
  // Tracing has OpenTelemetry’s names and its own table (config/tracing.ts).
  const { tracing, ignoredVariables, ...settings } = load()
  t.equal(tracing, null)
  t.same(ignoredVariables, [])
  t.same(Object.keys(settings).sort(), Object.keys(fields).sort())
})

const names = Object.values(fields).map(({ name }) => name)

/** Setting, text, parsed value. */
const GOOD: readonly (readonly [string, string, keyof Config, unknown])[] = [
  ['ISSUER', 'https://login.example.com', 'issuer', 'https://login.example.com'],
  ['ISSUER', 'https://login.example.com/', 'issuer', 'https://login.example.com/'],
  ['ISSUER', 'https://example.com:8443/realms/a', 'issuer', 'https://example.com:8443/realms/a'],
  ['ISSUER', 'https://example.com/~a/b-c_d.e', 'issuer', 'https://example.com/~a/b-c_d.e'],
  ['ISSUER', 'http://localhost', 'issuer', 'http://localhost'],
  ['ISSUER', 'http://127.0.0.1:3000', 'issuer', 'http://127.0.0.1:3000'],
  ['ISSUER', 'http://[::1]:3000', 'issuer', 'http://[::1]:3000'],
  ['HOST', '::', 'host', '::'],
  ['HOST', '[::1]', 'host', '::1'],
  ['HOST', '::ffff:127.0.0.1', 'host', '127.0.0.1'],
  ['HOST', 'fe80::1%eth0', 'host', 'fe80::1%eth0'],
  ['HOST', 'keyturn.internal', 'host', 'keyturn.internal'],
  ['PORT', '0', 'port', 0],
  ['PORT', '65535', 'port', 65_535],
  ['TLS_CERT_FILE', '/etc/tls/tls.crt', 'tlsCertFile', '/etc/tls/tls.crt'],
  ['TLS_KEY_FILE', '/etc/tls/tls.key', 'tlsKeyFile', '/etc/tls/tls.key'],
  ['MTLS_PORT', '3443', 'mtlsPort', 3443],
  ['TLS_CLIENT_CA_FILE', '/etc/tls/clients.crt', 'tlsClientCaFile', '/etc/tls/clients.crt'],
  ['METRICS_PORT', '9464', 'metricsPort', 9464],
  ['ADMIN', 'off', 'admin', false],
  ['ADMIN_PORT', '9465', 'adminPort', 9465],
  ['DPOP_NONCE', 'on', 'dpopNonce', true],
  ['DATABASE_URL', 'sqlite:/var/lib/keyturn.db', 'databaseUrl', 'sqlite:/var/lib/keyturn.db'],
  ['DATABASE_URL', 'sqlite:///var/lib/key turn.db', 'databaseUrl', 'sqlite:///var/lib/key turn.db'],
  ['DATABASE_POOL', '100', 'databasePool', 100],
  ['DATABASE_TIMEOUT', '2s', 'databaseTimeout', 2],
  ['KEYS_DIR', '/etc/keyturn', 'keysDir', '/etc/keyturn'],
  ['STORE_RECORD_FILE', '/var/lib/keyturn/store.json', 'storeRecordFile', '/var/lib/keyturn/store.json'],
  ['STORE_RECORD_FILE', 'off', 'storeRecordFile', null],
  ['MASTER_KEY', KEY, 'masterKey', Buffer.alloc(32, 7)],
  ['MASTER_KEY_NEXT', KEY, 'masterKeyNext', Buffer.alloc(32, 7)],
  ['ALGORITHMS', 'ES256', 'algorithms', ['ES256']],
  ['ALGORITHMS', 'RS256 PS256  Ed25519', 'algorithms', ['RS256', 'PS256', 'EdDSA']],
  ['ACCESS_TOKEN_TTL', '90s', 'accessTokenTtl', 90],
  ['REFRESH_TOKEN_TTL', '12h', 'refreshTokenTtl', 12 * 3600],
  ['REFRESH_IDLE_TTL', '30d', 'refreshIdleTtl', 30 * DAY],
  ['REFRESH_GRACE', '0s', 'refreshGrace', 0],
  ['JWKS_MAX_AGE', '0s', 'jwksMaxAge', 0],
  ['VERIFIER_CACHE', '0s', 'verifierCache', 0],
  ['VERIFIER_CACHE', '90d', 'verifierCache', 90 * DAY],
  ['KEY_ROTATION', 'off', 'keyRotation', null],
  ['KEY_ROTATION', '1m', 'keyRotation', 60],
  ['DEFAULT_AUDIENCE', 'urn:all', 'defaultAudience', 'urn:all'],
  ['STATUS_TTL', '1m', 'statusTtl', 60],
  ['TRUST_PROXY', 'on', 'trustProxy', 1],
  ['MAX_CONNECTIONS', '20', 'maxConnections', 20],
  ['TRUST_PROXY', '2', 'trustProxy', 2],
  ['TRUST_PROXY', '10.0.0.0/8, ::1,loopback', 'trustProxy', '10.0.0.0/8, ::1,loopback'],
  ['SHUTDOWN_DELAY', '5s', 'shutdownDelay', 5],
  ['MIN_PASSWORD_LENGTH', '15', 'minPasswordLength', 15],
  ['BRAND_NAME', 'Zürich & Söhne', 'brandName', 'Zürich & Söhne'],
  ['BRAND_NAME', 'two  \u3000spaces', 'brandName', 'two spaces'],
  ['BRAND_NAME', '👩\u200d🚀 Ada', 'brandName', '👩\u200d🚀 Ada'],
  ['BRAND_COLOR', '#C0FFEE', 'brandColor', '#C0FFEE'],
  ['BRAND_LOGO', LOGO, 'brandLogo', { contentType: 'image/svg+xml', body: readFileSync(LOGO) }],
  ['AUDIT_RETENTION', '1h', 'auditRetention', 3600],
  ['AUDIT_RETENTION', 'off', 'auditRetention', null],
  ['LOG_LEVEL', 'silent', 'logLevel', 'silent'],
  ['LOG_PRETTY', 'off', 'logPretty', false],
  ['LOG_PRETTY', 'on', 'logPretty', true],
]

t.test('every setting is parsed to its meaning', async (t) => {
  for (const [name, written, member, meant] of GOOD) {
    // Settings of TLS are good only together.
    const others = /^M?TLS_/.test(name) ? { ...TLS, MTLS_PORT: '4000' } : {}
    t.same(load({ ...others, [name]: written })[member], meant, `${name}=${written}`)
  }
  t.same(
    names.filter((name) => !GOOD.some((row) => row[0] === name)),
    [],
    'no setting is missing here',
  )
})

const BAD_DURATIONS = [
  '',
  '10',
  '5 m',
  '-1s',
  '1.5h',
  '10m10s',
  '5M',
  '1w',
  '1e3s',
  'off ',
  '９s',
  '9999999999s',
]
const BAD_PATHS = [' x', 'x ', 'x\r', 'x\u00a0', 'x\ny', '~', '~/x']
const BAD: Readonly<Record<string, readonly string[]>> = {
  HOST: [
    '[::1',
    '[127.0.0.1]',
    '::1]',
    'http://localhost',
    'localhost:3000',
    '127.0.0',
    '127.0.0.1\r',
    'a b',
    '*',
  ],
  KEYS_DIR: BAD_PATHS,
  STORE_RECORD_FILE: [...BAD_PATHS, 'off '],
  ISSUER: [
    'example.com',
    'ftp://example.com',
    'http://example.com',
    'http://localhost.example.com',
    'http://127.0.0.1.example.com',
    'http://10.0.0.1',
    'https://example.com?x=1',
    'https://example.com?',
    'https://example.com#x',
    'https://example.com#',
    'https://user@example.com',
    'https://user:password@example.com',
    'https://example.com/a b',
    ' https://example.com',
    'https:example.com',
    'https:\\\\example.com',
    'HTTPS://EXAMPLE.COM',
    'https://example.com:443',
    'https://example.com/a/../b',
    'https://example.com/a%20b',
    'https://example.com/%C3%BCn',
    'https://example.com/x::y',
    'https://example.com/:realm',
    'https://example.com/*',
    'https://example.com/a//b',
    'https://example.com//',
    'https://example.com/a;b',
    'https://example.com/(a)',
    'https://example.com/health',
    'https://example.com/metrics/x',
    'https://example.com/.well-known/x',
    'javascript:alert(1)',
  ],
  TLS_CERT_FILE: ['~/server.pem', ' server.pem'],
  TLS_KEY_FILE: ['~/server.key', 'server.key '],
  TLS_CLIENT_CA_FILE: ['~/clients.pem', 'clients\n.pem'],
  MTLS_PORT: ['-1', '65536', 'off'],
  METRICS_PORT: ['-1', '65536', 'off'],
  ADMIN: ['true', 'auto', '1'],
  ADMIN_PORT: ['-1', '65536', 'off'],
  DPOP_NONCE: ['true', '1', 'auto'],
  PORT: ['-1', '65536', '3000x', '0x50', '1e3', ' 80', '999999'],
  DATABASE_URL: [
    'data/keyturn.db',
    'mysql://x',
    'sqlite:',
    'sqlite::memory:',
    'sqlite::memory',
    'sqlite:file:x.db',
    'sqlite:FILE:x.db',
    'sqlite:~/x.db',
    'sqlite:x.db?mode=ro',
    'sqlite:x%20y.db',
    'sqlite:x.db#y',
    'sqlite://data/x.db',
    'sqlite:x.db\r',
    'sqlite:x.db ',
    'sqlite:x\u3000',
    'file:x',
    'postgres://me:a@b/c@host/x',
    'postgres://me:1?a@host/x',
    'postgres://me:1#a@host/x',
    'postgres://me:a%zz@host/x',
    'postgres:',
    'postgres://',
    'postgres://a b/c',
  ],
  DATABASE_POOL: ['0', '-1', '1.5', '1001', 'ten'],
  DATABASE_TIMEOUT: [...BAD_DURATIONS, '0s', '6m', 'off'],
  MASTER_KEY_NEXT: ['short', `${KEY}=`],
  MASTER_KEY: ['short', `${KEY}=`, `${KEY}A`, KEY.slice(1), `${KEY.slice(0, -1)}!`, `${KEY.slice(0, -1)}d`],
  ACCESS_TOKEN_TTL: [...BAD_DURATIONS, '0s', '25h', 'off'],
  REFRESH_TOKEN_TTL: [...BAD_DURATIONS, '0s', '3651d', 'off'],
  REFRESH_IDLE_TTL: [...BAD_DURATIONS, '0s', '3651d', 'off'],
  REFRESH_GRACE: [...BAD_DURATIONS, '301s', 'off'],
  ALGORITHMS: ['HS256', 'none', 'rs256', 'RS256,ES256', 'RS256 RS256', 'EdDSA Ed25519', ' RS256'],
  JWKS_MAX_AGE: [...BAD_DURATIONS, '25h', 'off'],
  VERIFIER_CACHE: [...BAD_DURATIONS, '91d', 'off'],
  KEY_ROTATION: [...BAD_DURATIONS, '59s', '3651d', 'OFF', 'never'],
  DEFAULT_AUDIENCE: ['two words', 'tab\there'],
  STATUS_TTL: [...BAD_DURATIONS, '0s', '61m'],
  TRUST_PROXY: [
    'yes',
    'true',
    '-1',
    '::::',
    '10.0.0.0/33',
    '10.0.0.0/',
    '1.2.3',
    'on,off',
    '10.0.0.1,,',
    '::1/129',
    '0.0.0.0/0',
    '10.0.0.1, ::/0',
  ],
  MAX_CONNECTIONS: ['19', '1000001', 'off', '1e3'],
  SHUTDOWN_DELAY: [...BAD_DURATIONS, '6m'],
  MIN_PASSWORD_LENGTH: ['7', '65', '8 characters', '-8'],
  BRAND_NAME: [' ', ' before', 'a\u200db', '\u3164', 'tab\there', 'a\u202Eb', 'x'.repeat(61)],
  BRAND_COLOR: ['red', '#fff', '3949b8', '#3949b8ff', '#gggggg', 'rgb(1,2,3)', '#3949b8;}'],
  BRAND_LOGO: [...BAD_PATHS, `${LOGO}\r`, '/nonexistent/logo.svg', '/', join(root, 'package.json')],
  AUDIT_RETENTION: [...BAD_DURATIONS, '59m', '3651d', 'OFF', 'never'],
  LOG_LEVEL: ['INFO', 'verbose', '30'],
  LOG_PRETTY: ['yes', 'true', 'ON'],
}

t.test(
  'every malformed value is refused by the name of its setting without repeating the value',
  async (t) => {
    for (const [name, values] of Object.entries(BAD)) {
      for (const value of values.filter((one) => one !== '')) {
        const [problem = '', ...others] = problems({ [name]: value })
        t.ok(problem.startsWith(`KEYTURN_${name} must `), `${name}=${value}: ${problem}`)
        t.same(others, [])
      }
    }
    const untested = names.filter((name) => !(name in BAD))
    t.same(untested, [], 'no setting is missing here')
  },
)

t.test('metrics have a separate port or none', async (t) => {
  const same = { PORT: '4000', METRICS_PORT: '4000' }
  t.same(problems(same), ['KEYTURN_METRICS_PORT must differ from KEYTURN_PORT'])
  t.same(problems({ METRICS_PORT: '3000' }).length, 1, 'the default port counts too')
  const shared = 'KEYTURN_ADMIN_PORT must differ from KEYTURN_PORT and KEYTURN_METRICS_PORT'
  t.same(problems({ PORT: '4000', ADMIN_PORT: '4000' }), [shared])
  t.same(problems({ METRICS_PORT: '4000', ADMIN_PORT: '4000' }), [shared])
  t.equal(load({ PORT: '0', METRICS_PORT: '0' }).metricsPort, 0, 'two free ports')
})

t.test(
  'with a certificate the default issuer is https, and the port that is found later is in it',
  async (t) => {
    const config = load({ ...TLS, PORT: '0', MTLS_PORT: '8444' })
    t.equal(config.issuer, 'https://localhost:0')
    t.equal(config.mtlsPort, 8444)
    t.equal(onPort(config, 4000).issuer, 'https://localhost:4000')
    t.equal(onPort(config, 4000).defaultAudience, 'https://localhost:4000')
  },
)

t.test('settings of TLS that say only half of what is needed are refused', async (t) => {
  const together = 'KEYTURN_TLS_CERT_FILE and KEYTURN_TLS_KEY_FILE must be set together'
  t.same(problems({ TLS_CERT_FILE: 'server.pem' }), [together])
  t.same(problems({ TLS_KEY_FILE: 'server.key' }), [together])
  t.same(problems({ ...TLS, ISSUER: 'http://localhost:3000' }), [
    'KEYTURN_ISSUER must be an https URL, because KEYTURN_TLS_CERT_FILE is set',
  ])
  t.same(problems({ MTLS_PORT: '4000' }), [
    'KEYTURN_MTLS_PORT needs KEYTURN_TLS_CERT_FILE and KEYTURN_TLS_KEY_FILE',
  ])
  t.match(problems({ TLS_CLIENT_CA_FILE: 'clients.pem' }), [/^KEYTURN_TLS_CLIENT_CA_FILE needs/])
  t.match(problems({ ...TLS, TLS_CLIENT_CA_FILE: 'clients.pem' }), [/no client certificate arrives$/])
  t.same(problems({ TRUST_PROXY: 'on', TLS_CLIENT_CA_FILE: 'clients.pem' }), [])
  const other = 'KEYTURN_MTLS_PORT must differ from the other ports'
  for (const name of ['PORT', 'METRICS_PORT', 'ADMIN_PORT'])
    t.same(problems({ ...TLS, MTLS_PORT: '4000', [name]: '4000' }), [other], name)
  t.equal(load({ ...TLS, PORT: '0', MTLS_PORT: '0' }).mtlsPort, 0, 'two free ports')
})

t.test('no error message repeats a secret', async (t) => {
  const secrets = ['postgres-password-123', 'mysql://me:hunter2@db/x', 'https://me:hunter2@example.com']
  for (const secret of secrets) {
    const text = problems({ MASTER_KEY: secret, DATABASE_URL: secret, ISSUER: secret }).join('\n')
    t.notMatch(text, /hunter2|password-123/)
  }
})

t.test(
  'no message repeats a part of a database URL, wherever a special character cuts the password',
  async (t) => {
    for (const character of ['@', '/', '?', '#', ':', '%', ' ', '\\', '[']) {
      const url = `postgres://me:hunter${character}secret${character}word@db.internal/keyturn`
      const found = problems({ DATABASE_URL: url, MASTER_KEY: KEY })
      t.notMatch(found.join('\n'), /hunter|secret|word@|internal/, url)
      // The WHATWG parser finds the last `@` before the path, so this one is unambiguous only if it is accepted or refused as a whole.
      if (found.length === 0) t.notMatch(databaseName(url), /hunter|secret|word/, url)
    }
  },
)

t.test('a store in memory is refused, except by tests that ask for it', async (t) => {
  const env = { KEYTURN_DATABASE_URL: 'sqlite::memory:' }
  t.throws(() => loadConfig(env, NOWHERE), /must name a file: a database in memory is lost/)
  t.equal(loadConfig(env, NOWHERE, { inMemory: true }).databaseUrl, 'sqlite::memory:')
})

t.test('every variable is refused if white space or a control character hides at its ends', async (t) => {
  for (const [name, written] of GOOD) {
    for (const value of [`${written}\r`, ` ${written}`, `${written}\u00a0`, `${written}\u0007`]) {
      t.match(
        problems({ [name]: value }),
        [new RegExp(`^KEYTURN_${name} must (not begin or end with white space|be text without control)`)],
        value,
      )
    }
  }
  const folder = t.testdir({
    key: `${KEY}\n\n`,
    dos: `${KEY}\r\n`,
    bom: `\uFEFF${KEY}\n`,
    wide: Buffer.from(KEY, 'utf16le'),
  })
  for (const name of ['key', 'dos', 'bom', 'wide']) chmodSync(join(folder, name), 0o600)
  const fromFile = (name: string) => ({ MASTER_KEY_FILE: join(folder, name) })
  for (const name of ['dos', 'bom']) t.same(load(fromFile(name)).masterKey, Buffer.alloc(32, 7), name)
  t.same(
    problems(fromFile('key')),
    ['KEYTURN_MASTER_KEY must not begin or end with white space'],
    'one final newline',
  )
  t.same(problems(fromFile('wide')), ['KEYTURN_MASTER_KEY_FILE contains NUL characters: save it as UTF-8'])
})

t.test('variables that Kubernetes sets for a service with the same prefix are ignored', async (t) => {
  const service = {
    SERVICE_HOST: '10.96.0.7',
    SERVICE_PORT: '80',
    SERVICE_PORT_HTTP: '80',
    PORT: 'tcp://10.96.0.7:80',
    PORT_80_TCP: 'tcp://10.96.0.7:80',
    PORT_80_TCP_PROTO: 'tcp',
    PORT_80_TCP_PORT: '80',
    PORT_80_TCP_ADDR: '10.96.0.7',
    METRICS_PORT: 'tcp://[fd00::1]:9464',
    METRICS_PORT_9464_TCP_ADDR: 'fd00::1',
    METRICS_SERVICE_HOST: 'fd00::1',
  }
  const config = load(service)
  t.match(config, { port: 3000, metricsPort: null })
  t.same(
    config.ignoredVariables,
    Object.keys(service).map((name) => `KEYTURN_${name}`),
  )
  const folder = t.testdir({ '.env': 'KEYTURN_PORT=4000\n' })
  t.equal(load(service, folder).port, 4000, 'a setting in a file is not overridden by such a variable')
  t.equal(problems({ SERVICE_HOST: 'not an address' }).length, 1, 'other values are unknown settings')
  t.equal(problems({ PORT: 'http://10.96.0.7' }).length, 1)
})

t.test('an empty value counts as unset', async (t) => {
  const empty = Object.fromEntries(names.map((name) => [name, '']))
  t.same(load(empty), load())
})

t.test('all problems are reported at once', async (t) => {
  const found = problems({
    PORT: 'x',
    LOG_LEVEL: 'x',
    PROT: '1',
    MASTER_KEY_FILE: '/nonexistent',
    ISSUER: 'x',
  })
  t.equal(found.length, 5)
  for (const name of ['PORT', 'LOG_LEVEL', 'PROT', 'MASTER_KEY_FILE', 'ISSUER']) {
    t.ok(
      found.some((problem) => problem.startsWith(`KEYTURN_${name} `)),
      name,
    )
  }
})

t.test('an unknown KEYTURN_ name is refused with the closest known name', async (t) => {
  for (const [typo, meant] of [
    ['PROT', 'PORT'],
    ['ISUER', 'ISSUER'],
    ['ACCES_TOKEN_TTL', 'ACCESS_TOKEN_TTL'],
    ['MASTERKEY', 'MASTER_KEY'],
    ['MASTER_KEY_FIEL', 'MASTER_KEY_FILE'],
    ['DATABASE', 'DATABASE_URL'],
    ['port', 'PORT'],
  ]) {
    t.same(problems({ [typo as string]: 'x' }), [
      `KEYTURN_${typo} is not a setting; did you mean KEYTURN_${meant}?`,
    ])
  }
  t.match(problems({ PORT_FILE: '/x' })[0], /KEYTURN_PORT_FILE is not a setting/, 'only secrets have files')
  t.ok(
    loadConfig({ PORT: '1', KEYTURNX: '1', XKEYTURN_PORT: '1' }, NOWHERE),
    'names without the prefix are ignored',
  )
})

t.test('PostgreSQL requires a master key shared by all nodes', async (t) => {
  const missing =
    'KEYTURN_MASTER_KEY or KEYTURN_MASTER_KEY_FILE is required with PostgreSQL: all nodes share it'
  const urls = [
    'postgres://keyturn:s%40cret@db.internal:5432/keyturn?sslmode=verify-full',
    'postgresql://localhost/keyturn',
    'postgres:///keyturn?host=/run/postgresql',
  ]
  const folder = t.testdir({ key: `${KEY}\n`, empty: '' })
  chmodSync(join(folder, 'key'), 0o600)
  for (const url of urls) {
    t.equal(load({ DATABASE_URL: url, MASTER_KEY: KEY }).databaseUrl, url)
    t.equal(load({ DATABASE_URL: url, MASTER_KEY_FILE: join(folder, 'key') }).databaseUrl, url)
    t.same(problems({ DATABASE_URL: url }), [missing])
    t.same(problems({ DATABASE_URL: url, MASTER_KEY: '' }), [missing])
  }
  const both = problems({ DATABASE_URL: urls[0] ?? '', MASTER_KEY: 'short' })
  t.match(both, [/^KEYTURN_MASTER_KEY must be 32 bytes/], 'an invalid secret is not reported as missing')
})

t.test('a secret may come from a file, but not from both a file and a variable', async (t) => {
  const folder = t.testdir({ key: `${KEY}\n`, url: 'sqlite:x.db', empty: '\n', folder: {} })
  const file = (name: string) => join(folder, name)
  for (const name of ['key', 'url', 'empty']) chmodSync(file(name), 0o600)
  t.same(load({ MASTER_KEY_FILE: file('key') }).masterKey, Buffer.alloc(32, 7))
  t.equal(load({ DATABASE_URL_FILE: file('url') }).databaseUrl, 'sqlite:x.db')
  t.same(load({ MASTER_KEY_FILE: file('key'), MASTER_KEY: '' }).masterKey, Buffer.alloc(32, 7))

  t.same(problems({ MASTER_KEY_FILE: file('key'), MASTER_KEY: KEY }), [
    'KEYTURN_MASTER_KEY and KEYTURN_MASTER_KEY_FILE are both set: keep one',
  ])
  t.same(problems({ MASTER_KEY_FILE: file('none') }), ['KEYTURN_MASTER_KEY_FILE cannot be read (ENOENT)'])
  t.same(problems({ MASTER_KEY_FILE: file('folder') }), ['KEYTURN_MASTER_KEY_FILE cannot be read (EISDIR)'])
  t.same(
    problems({ MASTER_KEY_FILE: file('empty') }),
    ['KEYTURN_MASTER_KEY_FILE is empty'],
    'not "unset", which would create a new key',
  )
  t.match(problems({ MASTER_KEY_FILE: file('url') })[0], /^KEYTURN_MASTER_KEY must be 32 bytes/)
})

t.test('a .env file in the folder is read, and the environment overrides it', async (t) => {
  const folder = t.testdir({ '.env': '# a comment\nKEYTURN_PORT=4000\nKEYTURN_HOST="::"\nOTHER=x\n' })
  t.match(load({}, folder), { port: 4000, host: '::', issuer: 'http://localhost:4000' })
  t.match(load({ PORT: '5000' }, folder), { port: 5000, host: '::' })
  t.equal(load({ PORT: '' }, folder).port, 3000, 'an empty value overrides too')
})

t.test(
  'a .env file may have a byte order mark, Windows line endings, quotes, comments and colours',
  async (t) => {
    const lines = [
      'KEYTURN_PORT=4000',
      'export KEYTURN_HOST = ::1',
      'KEYTURN_BRAND_COLOR=#c00000 # red',
      "KEYTURN_BRAND_NAME='A # B'",
      'KEYTURN_LOG_LEVEL="warn" # quiet',
      '   # indented',
      '',
      'OTHER="two',
      'lines"',
      'KEYTURN_KEYS_DIR= # the default',
      'KEYTURN_DEFAULT_AUDIENCE=https://a.example/#b',
    ]
    for (const [end, mark] of [
      ['\n', ''],
      ['\r\n', '\uFEFF'],
    ]) {
      const folder = t.testdir({ '.env': `${mark}${lines.join(end)}${end}` })
      t.match(load({}, folder), {
        port: 4000,
        host: '::1',
        brandColor: '#c00000',
        brandName: 'A # B',
        logLevel: 'warn',
        keysDir: 'keys',
        defaultAudience: 'https://a.example/#b',
      })
    }
  },
)

t.test(
  'a line of a .env file that is not understood is refused by its number, without its text',
  async (t) => {
    const text = [
      'KEYTURN_PORT: 4000',
      'KEYTURN_PORT 4000',
      '# comment',
      'KEYTURN_MASTER_KEY="hunter2" secret',
      'KEYTURN_MASTER_KEY="hunter2',
    ]
    const folder = t.testdir({ '.env': text.join('\n'), wide: {}, latin: {} })
    const file = join(folder, '.env')
    t.same(problems({}, folder), [
      `${file} line 1 must be NAME=value, a comment or blank`,
      `${file} line 2 must be NAME=value, a comment or blank`,
      `${file} line 4 has no closing quote, or text after it`,
      `${file} line 5 has no closing quote, or text after it`,
    ])
    const encoded = [
      ['\uFEFFKEYTURN_PORT=4000', 'utf16le', 'is UTF-16 text: save it as UTF-8'],
      ['KEYTURN_PORT=4000', 'utf16le', 'contains NUL characters: save it as UTF-8'],
      ['KEYTURN_BRAND_NAME=Zürich', 'latin1', 'is not UTF-8 text'],
    ] as const
    for (const [content, encoding, why] of encoded) {
      writeFileSync(file, Buffer.from(content, encoding))
      t.same(problems({}, folder), [`${file} ${why}`])
    }
  },
)

t.test('problems in a .env file are reported like problems in the environment', async (t) => {
  t.match(problems({}, t.testdir({ '.env': 'KEYTURN_PROT=1\n' }))[0], /did you mean KEYTURN_PORT/)
  const folder = t.testdir()
  mkdirSync(join(folder, '.env'))
  t.same(problems({}, folder), [`${join(folder, '.env')} cannot be read (EISDIR)`])
})

t.test(
  'a file with a secret that others can read is refused with the command that fixes it (docs/security.md R3)',
  async (t) => {
    const folder = t.testdir({ key: `${KEY}\n`, next: `${KEY}\n`, url: 'postgres://keyturn@localhost/x' })
    const names = { MASTER_KEY_FILE: 'key', MASTER_KEY_NEXT_FILE: 'next', DATABASE_URL_FILE: 'url' }
    for (const [setting, name] of Object.entries(names)) {
      const file = join(folder, name)
      for (const mode of [0o644, 0o640, 0o604, 0o620, 0o602]) {
        chmodSync(file, mode)
        const problem = `KEYTURN_${setting}: ${file} can be read by others: chmod 600 ${file}`
        t.same(problems({ MASTER_KEY_NEXT: '', [setting]: file }), [problem], mode.toString(8))
      }
      chmodSync(file, 0o400)
      t.notMatch(problems({ [setting]: file }).join(), 'can be read by others')
    }
  },
)

t.test('a .env file that others can read must not contain a secret (docs/security.md R3)', async (t) => {
  const secrets = [
    `KEYTURN_MASTER_KEY=${KEY}`,
    `KEYTURN_MASTER_KEY_NEXT=${KEY}`,
    'KEYTURN_DATABASE_URL=postgres://keyturn:hush@localhost/x',
    'KEYTURN_DATABASE_URL=postgres://localhost/x?user=keyturn&password=hush',
    'OTEL_EXPORTER_OTLP_HEADERS=authorization=hush',
    'OTEL_EXPORTER_OTLP_TRACES_HEADERS=authorization=hush',
  ]
  const others = [
    'KEYTURN_PORT=4000',
    'KEYTURN_DATABASE_URL=sqlite:x.db',
    'KEYTURN_MASTER_KEY=',
    'KEYTURN_MASTER_KEY_FILE=/nonexistent',
    'KEYTURN_DATABASE_URL=postgres://keyturn@localhost/x',
  ]
  for (const line of [...secrets, ...others]) {
    const folder = t.testdir({ '.env': `${line}\n` })
    const file = join(folder, '.env')
    const problem = `${file} can be read by others: chmod 600 ${file}`
    chmodSync(file, 0o644)
    t.equal(problems({}, folder).includes(problem), secrets.includes(line), line)
    chmodSync(file, 0o600)
    t.notOk(problems({}, folder).includes(problem))
  }
})

t.test('the configuration is frozen', async (t) => {
  t.ok(Object.isFrozen(load()))
  t.ok(Object.isFrozen(onPort(load({ PORT: '0' }), 1)))
})

t.test('the issuer and the default audience are derived from the port unless set', async (t) => {
  t.match(load({ PORT: '8080' }), {
    issuer: 'http://localhost:8080',
    defaultAudience: 'http://localhost:8080',
  })
  t.match(load({ ISSUER: 'https://a.test' }), { issuer: 'https://a.test', defaultAudience: 'https://a.test' })
})

t.test('with port 0 the derived values use the port that was assigned', async (t) => {
  t.match(onPort(load({ PORT: '0' }), 4321), {
    port: 4321,
    issuer: 'http://localhost:4321',
    defaultAudience: 'http://localhost:4321',
  })
  t.match(onPort(load({ PORT: '0', ISSUER: 'https://a.test', DEFAULT_AUDIENCE: 'b' }), 4321), {
    port: 4321,
    issuer: 'https://a.test',
    defaultAudience: 'b',
  })
  t.match(onPort(load({ PORT: '0', ISSUER: 'https://a.test' }), 4321).defaultAudience, 'https://a.test')
})
