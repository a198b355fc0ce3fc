import t from 'tap'
import {
  MAX_CONCURRENT_HASHES,
  MAX_HASHES_ON_POOL,
  MAX_WAITING_HASHES,
} from '../../src/accounts/hashing-limits.ts'
import { KNOWN_LOCATION_TTL, ONE_TIME_STATE_TTL } from '../../src/accounts/lifetimes.ts'
import { MAX_PASSWORD_LENGTH } from '../../src/accounts/password.ts'
import {
  CLIENT_SECRET_LIMITS,
  CODE_LIMITS,
  LIMITS as PASSWORD_LIMITS,
} from '../../src/accounts/rate-limiter.ts'
import { CODES_IN_A_SET } from '../../src/accounts/recovery-codes.ts'
import { PROBLEMS } from '../../src/admin/errors.ts'
import { AUDIT_EVENTS } from '../../src/audit/events.ts'
import { failureDetails } from '../../src/audit/failure-details.ts'
import { SHUTDOWN_TIMEOUT_MS } from '../../src/cli/run-server.ts'
import { ERROR_CODES } from '../../src/errors.ts'
import { REQUEST_PROBLEMS } from '../../src/http/admin/problem.ts'
import { MAX_BODY_BYTES, MAX_PAGE_FIELDS } from '../../src/http/form.ts'
import { CONNECTION_LIMITS, MAX_HEADER_BYTES } from '../../src/http/listener.ts'
import { LEASE_MS } from '../../src/keys/live-ring.ts'
import { SKEW } from '../../src/keys/ring.ts'
import { MAX_WAITING_BYTES } from '../../src/log/sink.ts'
import { MAX_WAITING_EVENTS } from '../../src/node/base.ts'
import {
  BUSY_POLL_INTERVAL_MS,
  IDLE_POLL_INTERVAL_MS,
  POLL_INTERVAL_MS,
  PRUNE_INTERVAL_MS,
} from '../../src/node/change-poller.ts'
import {
  CLOCK_JUMP,
  CLOCK_READ_INTERVAL_MS,
  MAX_CLOCK_LAG,
  TOLERATED_CLOCK_DIFFERENCE,
} from '../../src/node/cluster-clock.ts'
import { HEARTBEAT_INTERVAL } from '../../src/node/heartbeat.ts'
import { PRUNE_BATCH } from '../../src/node/prune.ts'
import { STALE_AFTER_MS } from '../../src/node/staleness.ts'
import { MAX_CLIENT_JWT_LENGTH } from '../../src/oauth/client-auth/client-jwt.ts'
import { JWKS_CACHE_LIMITS, JWKS_COOLDOWN, JWKS_MAX_AGE } from '../../src/oauth/client-auth/client-keys.ts'
import { JWKS_FETCH_LIMITS } from '../../src/oauth/client-auth/fetch-jwks.ts'
import { statuses } from '../../src/oauth/errors.ts'
import { CLIENT_CLOCK_SKEW, MAX_CLIENT_JWT_LIFETIME } from '../../src/oauth/lifetimes.ts'
import {
  MAX_DELIVERIES,
  MAX_DELIVERIES_PER_CLIENT,
  MAX_DELIVERIES_TO_FAILING,
  RETRY_DELAYS,
} from '../../src/oauth/logout/logout-outbox.ts'
import { LOGOUT_TIMEOUT_MS } from '../../src/oauth/logout/send-logout-token.ts'
import { MAX_PARAMETERS } from '../../src/oauth/parameters.ts'
import { MAX_CLIENT_BYTES, MAX_CLIENTS } from '../../src/oauth/registry.ts'
import { MAX_PASSKEYS } from '../../src/store/contracts/factors.ts'
import { NODE_TIMEOUT } from '../../src/store/contracts/nodes.ts'
import { LIST_SIZE } from '../../src/store/contracts/status.ts'
import { QUEUE } from '../../src/store/postgres/connections.ts'
import { MAX_GROUP } from '../../src/store/postgres/groups.ts'
import { BUSY_TIMEOUT_MS } from '../../src/store/sqlite/sqlite.ts'
import { read, repositoryFiles, tableBelow } from '../support/docs/documents.ts'
import { bucket, duration, grouped } from '../support/docs/durations.ts'
import { REAL_COST } from '../support/server/quick-hashing.ts'

const plain = (cell = '') => cell.replaceAll('`', '')

t.test('docs/errors.md lists every error code with its status', async (t) => {
  const rows = tableBelow(read('docs/errors.md'), '## Codes')
  t.same(
    rows.map(([code, status]) => [plain(code), Number(status)]),
    Object.entries(statuses),
  )
  t.ok(
    rows.every(([, , when = '']) => when.length > 0),
    'each row says when',
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

t.test('docs/internals/dependencies.md gives a reason for every dependency', async (t) => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json'))
  for (const [heading, listed] of [
    ['## At run time', dependencies],
    ['## For development', devDependencies],
  ]) {
    const rows = tableBelow(read('docs/internals/dependencies.md'), heading)
    t.same(
      rows.map(([name]) => plain(name)),
      Object.keys(listed),
      heading,
    )
    t.ok(
      rows.every(([, why = '']) => why.length > 0),
      'each row gives a reason',
    )
  }
})

const kib = (bytes: number) => `${bytes / 1024} KiB`
const mib = (bytes: number) => `${bytes / 1024 ** 2} MiB`
const ms = (milliseconds: number) => `${milliseconds / 1000} s`
const row = (limit: Parameters<typeof bucket>[0]) => `| ${bucket(limit)} |`

/** What docs/operations.md must say, made from the limits that the code enforces. */
const LIMITS: readonly string[] = [
  `| request body | ${kib(MAX_BODY_BYTES)} |`,
  `| parameters in a request; fields in a form of a page | ${MAX_PARAMETERS}; ${MAX_PAGE_FIELDS} |`,
  `| header fields | ${kib(MAX_HEADER_BYTES)} |`,
  `headers; headers and body | ${ms(CONNECTION_LIMITS.headers)}; ${ms(CONNECTION_LIMITS.request)} |`,
  `moves | ${ms(CONNECTION_LIMITS.keepAlive)}; ${ms(CONNECTION_LIMITS.socket)} |`,
  `| requests on one connection | ${grouped(CONNECTION_LIMITS.requests)},`,
  `| client assertion, request object | ${kib(MAX_CLIENT_JWT_LENGTH)}; expires in at most ${duration(MAX_CLIENT_JWT_LIFETIME)}; clocks may differ by ${CLIENT_CLOCK_SKEW} s |`,
  `| ${ms(LOGOUT_TIMEOUT_MS)}, no redirects; ${MAX_DELIVERIES} at once, ${MAX_DELIVERIES_PER_CLIENT} of one client, ${MAX_DELIVERIES_TO_FAILING} of clients whose last delivery failed; again after ${RETRY_DELAYS.map(duration).join(', ')}, then never |`,
  `| ${kib(JWKS_FETCH_LIMITS.bytes)}, ${ms(JWKS_FETCH_LIMITS.milliseconds)}, no redirects; cached ${duration(JWKS_MAX_AGE)}, fetched again for an unknown key after ${JWKS_COOLDOWN} s; at most ${grouped(JWKS_CACHE_LIMITS.documents)} and ${mib(JWKS_CACHE_LIMITS.bytes)} of them in memory |`,
  `| password | \`KEYTURN_MIN_PASSWORD_LENGTH\` to ${MAX_PASSWORD_LENGTH} characters |`,
  `argon2id, ${REAL_COST.memoryCost / 1024} MiB, ${REAL_COST.timeCost} passes; at most ${MAX_CONCURRENT_HASHES} at once, ${MAX_WAITING_HASHES} waiting,`,
  `one per processor, at most ${MAX_CONCURRENT_HASHES};`,
  `| half of the processors, 1 to ${MAX_HASHES_ON_POOL},`,
  row(PASSWORD_LIMITS.pair),
  row(PASSWORD_LIMITS.address),
  row(PASSWORD_LIMITS.account),
  row(CLIENT_SECRET_LIMITS.pair),
  row(CLIENT_SECRET_LIMITS.address),
  `| ${duration(KNOWN_LOCATION_TTL)} after a sign-in |`,
  row(CODE_LIMITS.pair),
  row(CODE_LIMITS.account),
  `| ${duration(ONE_TIME_STATE_TTL['totp-setup'])}; ${duration(ONE_TIME_STATE_TTL['passkey-sign-in'])}, then`,
  `| ${MAX_PASSKEYS}; ${CODES_IN_A_SET} |`,
  `extra time that a retiring key stays in the JWKS, for clock differences | ${SKEW} s |`,
  `| read every ${ms(CLOCK_READ_INTERVAL_MS)}; a machine whose clock differs by ${TOLERATED_CLOCK_DIFFERENCE} s is`,
  `| ${CLOCK_JUMP} s; delayed by the length of the jump, at most ${duration(MAX_CLOCK_LAG)} |`,
  `| ${ms(POLL_INTERVAL_MS)}; ${ms(BUSY_POLL_INTERVAL_MS)}; ${ms(IDLE_POLL_INTERVAL_MS)} |`,
  `| ${ms(STALE_AFTER_MS)}; ${ms(LEASE_MS)} when it signs without the store |`,
  `| up to ${MAX_GROUP}; others of the kind wait for at most`,
  `| up to ${ms(BUSY_TIMEOUT_MS)}, then 503 |`,
  `| every ${HEARTBEAT_INTERVAL} s; after ${NODE_TIMEOUT} s |`,
  `| entries of a status list | ${grouped(LIST_SIZE)};`,
  `| ${grouped(MAX_CLIENTS)}, and ${mib(MAX_CLIENT_BYTES)}; others are read when they are needed |`,
  `| ${mib(MAX_WAITING_BYTES)}, then dropped |`,
  `| ${grouped(MAX_WAITING_EVENTS)}, then the oldest are only counted |`,
  `deleted about once a minute, ${PRUNE_BATCH} at a time`,
  `within ${ms(SHUTDOWN_TIMEOUT_MS)}; the store is closed`,
]

t.test('the limits in docs/operations.md equal those in the code', async (t) => {
  const page = read('docs/operations.md')
  for (const words of LIMITS) t.ok(page.includes(words), words)
  t.equal(PRUNE_INTERVAL_MS, 60_000, 'about once a minute')
  t.equal(QUEUE, 100, 'at most a hundred for each connection of the pool')
  // Importing this file would start the program.
  t.ok(page.includes('one per processor, 2 to 16;'))
  t.match(read('src/keyturn.js'), 'Math.max(2, Math.min(16, os.availableParallelism()))')
})

t.test('docs/errors.md lists the problems of the administration API', (t) => {
  t.same(
    tableBelow(read('docs/errors.md'), '## Problems of the administration API'),
    Object.entries({ ...REQUEST_PROBLEMS, ...PROBLEMS }).map(([name, { status, title }]) => [
      `\`${name}\``,
      String(status),
      title,
    ]),
  )
  t.end()
})
