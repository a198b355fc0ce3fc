import t from 'tap'
import { AUDIT_EVENTS } from '../../src/audit/events.ts'
import { failureDetails } from '../../src/audit/failure-details.ts'
import { ERROR_CODES } from '../../src/errors.ts'
import { statuses } from '../../src/oauth/errors.ts'
import { read, repositoryFiles, tableBelow } from '../support/docs/documents.ts'

const plain = (cell = '') => cell.replaceAll('`', '')

t.test('docs/errors.md lists every error code with its status', async (t) => {
  const rows = tableBelow(read('docs/errors.md'), '## Codes')
  t.same(
    rows.map(([code, status]) => [plain(code), Number(status)]),
    Object.entries(statuses),
  )
  t.ok(
    rows.every(([, , when = '']) => when.length > 0),
    'each says when',
  )
})

t.test('docs/errors.md has every code of errors in commands and the log, and each is thrown', async (t) => {
  const rows = tableBelow(read('docs/errors.md'), '## Errors of commands and the log')
  t.same(
    rows.map(([code]) => plain(code)),
    [...ERROR_CODES],
  )
  const sources = repositoryFiles()
    .filter((path) => path.startsWith('src/') && path.endsWith('.ts') && path !== 'src/errors.ts')
    .map(read)
    .join('\n')
  for (const code of ERROR_CODES) t.ok(sources.includes(`'${code}'`), code)
})

t.test('docs/audit.md has every detail of a refusal, with its meaning', async (t) => {
  t.same(
    tableBelow(read('docs/audit.md'), '## Why a request was refused').map(([detail, meaning]) => [
      plain(detail),
      meaning,
    ]),
    Object.entries(failureDetails),
  )
})

t.test('docs/operations.md lists every audit event, and every event is written somewhere', async (t) => {
  const rows = tableBelow(read('docs/operations.md'), '## Log and audit trail')
  t.same(
    rows.map(([event]) => plain(event)),
    [...AUDIT_EVENTS],
  )

  const sources = repositoryFiles()
    .filter((path) => path.startsWith('src/') && path.endsWith('.ts') && path !== 'src/audit/events.ts')
    .map(read)
    .join('\n')
  for (const event of AUDIT_EVENTS) t.ok(sources.includes(`'${event}'`), event)
})

t.test('docs/dependencies.md gives a reason for every dependency', async (t) => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json'))
  for (const [heading, listed] of [
    ['## At run time', dependencies],
    ['## For development', devDependencies],
  ]) {
    const rows = tableBelow(read('docs/dependencies.md'), heading)
    t.same(
      rows.map(([name]) => plain(name)),
      Object.keys(listed),
      heading,
    )
    t.ok(
      rows.every(([, why = '']) => why.length > 0),
      'each says why',
    )
  }
})

/** A limit as docs/operations.md words it, and the line of the code that makes it true. */
const LIMITS: readonly [string, string, string][] = [
  ['| request body | 64 KiB |', 'src/http/protocol.ts', 'BODY_LIMIT = 65_536'],
  ['| parameters in a request | 64 |', 'src/http/form.ts', 'MAX_PARAMETERS = 64'],
  ['| header fields | 16 KiB |', 'src/http/app.ts', 'MAX_HEADER_BYTES = 16_384'],
  ['| headers; headers and body | 10 s; 15 s |', 'src/http/app.ts', 'request: 15_000,\n  headers: 10_000,'],
  ['moves | 65 s; 70 s |', 'src/http/app.ts', 'keepAlive: 65_000,\n  socket: 70_000,'],
  [
    '| client assertion, request object | 8 KiB; at most 1 h',
    'src/oauth/client-auth/client-jwt.ts',
    'MAX_LENGTH = 8192',
  ],
  ['at most 1 h to its end', 'src/oauth/lifetimes.ts', 'MAX_CLIENT_JWT_LIFETIME: Seconds = 3600'],
  ['clocks may differ by 30 s', 'src/oauth/lifetimes.ts', 'CLIENT_CLOCK_SKEW: Seconds = 30'],
  ['64 KiB, 5 s, no redirects', 'src/oauth/client-auth/fetch-jwks.ts', 'milliseconds: 5000, bytes: 65_536'],
  [
    '| a client told of a sign-out | 5 s,',
    'src/oauth/logout/send-logout-token.ts',
    'LOGOUT_TIMEOUT_MS = 5000',
  ],
  ['8 at once, 2 of one client', 'src/oauth/logout/logout-outbox.ts', 'MAX_DELIVERIES = 8'],
  ['8 at once, 2 of one client', 'src/oauth/logout/logout-outbox.ts', 'MAX_DELIVERIES_PER_CLIENT = 2'],
  [
    'again after 10 s, 1 min, 10 min, 1 h',
    'src/oauth/logout/logout-outbox.ts',
    'RETRY_DELAYS: readonly Seconds[] = [10, 60, 600, 3600]',
  ],
  ['kept 10 min', 'src/oauth/client-auth/client-keys.ts', 'MAX_AGE: Seconds = 600'],
  ['again for an unknown key after 30 s', 'src/oauth/client-auth/client-keys.ts', 'COOLDOWN: Seconds = 30'],
  ['| requests on one connection | 10 000,', 'src/http/app.ts', 'requests: 10_000'],
  ['| every 5 s; after 30 s |', 'src/node/heartbeat.ts', 'HEARTBEAT_INTERVAL: Seconds = 5'],
  ['| every 5 s; after 30 s |', 'src/store/contracts/nodes.ts', 'NODE_TIMEOUT: Seconds = 30'],
  ['| entries of a status list | 1 048 576;', 'src/store/contracts/status.ts', 'LIST_SIZE = 2 ** 20'],
  ['one a processor, 2 to 16;', 'src/keyturn.js', 'Math.max(2, Math.min(16, os.availableParallelism()))'],
  ['| password | 8 to 1024 characters |', 'src/accounts/password.ts', 'LONGEST_PASSWORD = 1024'],
  ['| password | 8 to 1024 characters |', 'src/accounts/password.ts', 'SHORTEST_PASSWORD = 8'],
  ['argon2id, 19 MiB, 2 passes', 'src/accounts/password.ts', 'memoryCost: 19_456, timeCost: 2'],
  [
    'at most 2 at once, 16 waiting',
    'src/accounts/index.ts',
    'Math.min(2, availableParallelism() >> 1)), waiting: 16',
  ],
  ['5 at once, then one every 30 s', 'src/accounts/rate-limiter.ts', 'pair: { burst: 5, interval: 30 }'],
  ['50 at once, then one every 5 s', 'src/accounts/rate-limiter.ts', 'address: { burst: 50, interval: 5 }'],
  ['30 at once, then one every 20 s', 'src/accounts/rate-limiter.ts', 'account: { burst: 30, interval: 20 }'],
  ['| 90 days after a sign-in |', 'src/accounts/lifetimes.ts', 'FAMILIAR_ADDRESS_TTL: Seconds = 90 * DAY'],
  ['5 at once, then one every 5 min', 'src/accounts/rate-limiter.ts', 'pair: { burst: 5, interval: 300 }'],
  [
    '10 at once, then one every 10 min',
    'src/accounts/rate-limiter.ts',
    'account: { burst: 10, interval: 600 }',
  ],
  ['| 15 min; 5 min, then', 'src/accounts/lifetimes.ts', "'totp-setup': 900"],
  ['| 15 min; 5 min, then', 'src/accounts/lifetimes.ts', "'passkey-sign-in': 300"],
  ['| 20; 10 |', 'src/store/contracts/factors.ts', 'MOST_PASSKEYS = 20'],
  ['| 20; 10 |', 'src/accounts/recovery-codes.ts', 'CODES_IN_A_SET = 10'],
  ['a retiring key stays | 60 s |', 'src/keys/ring.ts', 'SKEW: Seconds = 60'],
  ['| up to 2 s, then 503 |', 'src/store/sqlite/sqlite.ts', 'BUSY_PATIENCE_MS = 2000'],
  ['| 10 000; the rest is read as needed |', 'src/oauth/registry.ts', 'MAX_CLIENTS = 10_000'],
  ['| 10 000, then the oldest are counted |', 'src/node/base.ts', 'MAX_WAITING_EVENTS = 10_000'],
  ['| 4 MiB, then dropped |', 'src/log/sink.ts', 'MAX_WAITING = 4_194_304'],
  ['about once a minute, 100 at a time', 'src/node/change-poller.ts', 'PRUNE_INTERVAL_MS = 60_000'],
  ['about once a minute, 100 at a time', 'src/node/prune.ts', 'BATCH = 100'],
  ['within\n10 s; the store is closed', 'src/cli/serve.ts', 'PATIENCE_MS = 10_000'],
]

t.test('the limits in docs/operations.md equal those in the code', async (t) => {
  const page = read('docs/operations.md')
  for (const [words, file, line] of LIMITS) {
    t.ok(page.includes(words), `the page says ${words}`)
    t.ok(read(file).includes(line), `${file} says ${line}`)
  }
})
