/** Everything that a stranger, a client or a user can cause to be stored is driven to its limit, and measured. */
import t from 'tap'
import { createOneTimeState } from '../../src/accounts/one-time-state.ts'
import { WRITE_LIMITS, type WriteLimits } from '../../src/accounts/write-limiter.ts'
import { MAX_KINDS } from '../../src/audit/aggregation.ts'
import { WRITE_BUDGET, type WriteBudget } from '../../src/node/write-budget.ts'
import { TABLES } from '../../src/store/tables.ts'
import { openBrowser } from '../support/browser/browser.ts'
import {
  authorizeParams,
  authorizeUrl,
  OWN_REDIRECT,
  redeem,
  seedUsers,
  signIn,
} from '../support/browser/sign-in.ts'
import { dpopSender } from '../support/dpop/sender.ts'
import { administrator } from '../support/server/administrator.ts'
import { asserting, assertion, clientKey } from '../support/server/jws.ts'
import { basic, clientCredentials, login, post, refresh } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'
import { revoke, signedIn } from '../support/server/tokens.ts'

type Name = keyof typeof WRITE_BUDGET
const entries = Object.entries(WRITE_BUDGET) as [Name, WriteBudget][]

const BURST = 4
/** Every limit that can be reduced is, so that no test needs thousands of requests. */
const writeLimits = Object.fromEntries(
  Object.keys(WRITE_LIMITS).map((kind) => [kind, { burst: BURST, interval: 3600 }]),
) as unknown as WriteLimits

const times = async (count: number, act: (i: number) => Promise<unknown>) => {
  for (let i = 0; i < count; i += 1) await act(i)
}

const key = clientKey('ES256', 'one')

/** Tries to write more than the limit allows. Returns what is told to the one who does, for the limits that refuse. */
const DRIVERS: Record<Name, (server: TestServer) => Promise<unknown>> = {
  guess: (server) => times(60, (i) => login(server, { username: `nobody${i}`, password: 'wrong wrong' })),

  async publicPush(server) {
    let refusal: unknown
    await times(80, async () => {
      const parameters = authorizeParams({ client_id: 'spa' })
      const form = Object.fromEntries(parameters)
      const answer = await dpopSender(server, key).send('/oauth2/par', { form })
      if (answer.statusCode !== 201) refusal = answer.json().error
    })
    return refusal
  },

  async signedResponse(server) {
    let refusal: unknown
    const parameters = { client_id: 'own', prompt: 'none', response_mode: 'jwt' }
    await times(80, async () => {
      const answer = await server.inject({ url: authorizeUrl(parameters) })
      if (answer.statusCode === 429) refusal = 'temporarily_unavailable'
    })
    return refusal
  },

  async verifier(server) {
    await times(3000, (i) =>
      server.inject({
        url: '/.well-known/jwks.json',
        headers: { 'keyturn-verifier': `name-${i}; instance=${'x'.repeat(64)}` },
      }),
    )
    await server.poll()
  },

  async refusal(server) {
    // Each client is a kind of refusal, which has a budget of its own below that of all refusals together.
    for (let i = 0; i < MAX_KINDS + 16; i += 1) {
      await server.store.clients.insert(client({ id: `public ${i}`, authMethod: 'none', secretHash: null }))
    }
    await server.poll()
    await times(800, (i) =>
      post(server, '/oauth2/token', { grant_type: 'x', client_id: `public ${i % (MAX_KINDS + 16)}` }),
    )
    await server.deps.base.auditLog.flush('all')
  },

  login: (server) => times(20, () => login(server)),

  async factorStep(server) {
    const text = { encrypt: (_: string, plain: string) => plain, decrypt: (_: string, same: string) => same }
    const { writeLimiter } = server.deps.accounts
    const state = createOneTimeState({
      cipher: text,
      singleUse: server.store.singleUse,
      writeLimiter,
      clock: server.clock,
    })
    await times(12, async (i) => {
      const step = state.create('totp-setup', 'alice', `secret ${i}`)
      await state.read('totp-setup', 'alice', step)?.consume('alice')
    })
  },

  async code(server) {
    const browser = openBrowser(server)
    const { code } = await signIn(browser, { client_id: 'own' })
    await redeem(server, code, { as: 'own', form: { redirect_uri: OWN_REDIRECT } })
    let refusal: string | null | undefined
    await times(12, async () => {
      const page = await browser.open(authorizeUrl({ client_id: 'own', nonce: 'n'.repeat(1000) }))
      const text = page.away?.params.get('code')
      if (text) await redeem(server, text, { as: 'own', form: { redirect_uri: OWN_REDIRECT } })
      else refusal = page.away?.params.get('error')
    })
    return refusal
  },

  async action(server) {
    for (let i = 0; i < 3000; i += 1) {
      server.deps.base.audit('user_session.ended', { actor: 'user:alice', sid: `session-${i}` })
    }
    await server.deps.base.auditLog.flush('all')
  },

  async sessionRevocation(server) {
    let { access_token, refresh_token } = await signedIn(server)
    await times(12, async () => {
      await revoke(server, access_token)
      const answer = await refresh(server, refresh_token)
      if (answer.statusCode === 200) ({ access_token, refresh_token } = answer.json())
    })
  },

  async revocation(server) {
    let refusal: unknown
    await times(12, async () => {
      const { access_token } = (await clientCredentials(server)).json()
      const answer = await revoke(server, access_token, 'machine')
      if (answer.statusCode !== 200) refusal = answer.json().error
    })
    return refusal
  },

  async push(server) {
    let refusal: unknown
    await times(12, async () => {
      const parameters = authorizeParams({ client_id: 'own', state: 's'.repeat(500) })
      const headers = { authorization: basic('own') }
      const answer = await post(server, '/oauth2/par', Object.fromEntries(parameters), headers)
      if (answer.statusCode !== 201) refusal = answer.json().error
    })
    return refusal
  },

  async assertion(server) {
    let refusal: unknown
    await times(12, async () => {
      const text = assertion({ key, client: 'signing', audience: ISSUER, now: server.clock.now() })
      const answer = await post(server, '/oauth2/token', {
        grant_type: 'client_credentials',
        ...asserting(text),
      })
      if (answer.statusCode !== 200) refusal = answer.json().error
    })
    return refusal
  },

  async proof(server) {
    let refusal: unknown
    await times(12, async () => {
      const answer = await dpopSender(server, key).machine()
      if (answer.statusCode !== 200) refusal = answer.json().error
    })
    return refusal
  },

  async userProof(server) {
    const sender = dpopSender(server, key)
    const { access_token } = (await sender.login('viewer', {}, { scope: 'openid' })).json()
    let refusal: unknown
    await times(12, async () => {
      const answer = await sender.userinfo(access_token)
      if (answer.statusCode !== 200) refusal = answer.json().error
    })
    return refusal
  },

  async repeatable(server) {
    const { send } = await administrator(server)
    let refusal: unknown
    await times(12, async (i) => {
      const body = { name: `reader-${i}`, scopes: ['admin:read'] }
      const answer = await send('POST', '/roles', body, { 'idempotency-key': `${i}` })
      if (answer.statusCode === 429) refusal = 'temporarily_unavailable'
    })
    return refusal
  },
}

/** Limits that refuse, and do not only stop writing, say so with this error. */
const REFUSES: readonly Name[] = [
  'publicPush',
  'signedResponse',
  'code',
  'revocation',
  'push',
  'assertion',
  'proof',
  'userProof',
  'repeatable',
]

async function measure({ store }: TestServer, tables: readonly string[]) {
  let rows = 0
  let bytes = 0
  for (const table of tables) {
    for (const row of await store.db.query(`SELECT * FROM ${table}`)) {
      rows += 1
      bytes += JSON.stringify(row).length
    }
  }
  return { rows, bytes }
}

/** What the driver causes to be stored on a server of its own. */
async function stored(name: Name, budget: WriteBudget, limits: WriteLimits = WRITE_LIMITS) {
  const server = await testServer({ writeLimits: limits })
  try {
    if (name === 'code' || name === 'signedResponse' || name.toLowerCase().includes('push'))
      await seedUsers(server.store)
    else await seed(server.store)
    await server.store.clients.insert(
      client({
        id: 'viewer',
        authMethod: 'none',
        secretHash: null,
        grants: ['password'],
        scopes: ['openid', 'orders:read'],
      }),
    )
    await server.store.clients.insert(
      client({ id: 'signing', authMethod: 'private_key_jwt', secretHash: null, jwks: { keys: [key.jwk] } }),
    )
    await server.deps.base.auditLog.flush('all')
    const before = await measure(server, budget.tables)
    const refusal = await DRIVERS[name](server)
    const after = await measure(server, budget.tables)
    return { rows: after.rows - before.rows, bytes: after.bytes - before.bytes, refusal }
  } finally {
    await server.close()
  }
}

for (const [name, budget] of entries) {
  t.test(`what is stored for ${budget.cause} stays within its budget (docs/security.md Q22)`, async (t) => {
    const { rows, bytes, refusal } = await stored(name, budget, writeLimits)
    const burst = typeof budget.limit === 'number' ? budget.limit : budget.kind ? BURST : budget.limit.burst
    t.ok(rows > 0, 'something is stored')
    // Some rows are shared by all, such as the bucket of an IP prefix, or the aggregated rows of the audit log for a minute.
    const most = burst * budget.rowsEach + (name === 'refusal' ? MAX_KINDS + 1 : 1)
    t.ok(rows <= most, `${rows} of at most ${most} rows`)
    t.ok(bytes <= most * budget.bytes, `${bytes} bytes`)
    if (REFUSES.includes(name)) t.equal(refusal, 'temporarily_unavailable')
    if (budget.kind) {
      const unlimited = await stored(name, budget)
      t.ok(unlimited.rows > most, `it is the limit that prevents more: ${unlimited.rows} rows without it`)
    }
  })
}

t.test('every table that a request can fill is in the write budget', async (t) => {
  const listed = new Set<string>(entries.flatMap(([, { tables }]) => [...tables]))
  t.same(
    TABLES.map((table) => table.name).filter((name) => !listed.has(name)),
    [
      // Written by administrators and by the server itself.
      'revisions',
      'ring_lanes',
      'ring',
      'store_identity',
      'ring_keys',
      'data_keys',
      'apis',
      'api_scopes',
      'client_logos',
      'clients',
      'client_lanes',
      // Administrators create the rows; a client only changes the time of the last use.
      'client_secrets',
      'roles',
      'users',
      'user_roles',
      // One row for each user and purpose, by the primary key; administrators cause them.
      'one_time_links',
      // The primary key allows one row for each user, client and audience.
      'consents',
      // One secret, twenty passkeys and ten codes for each user, by the primary keys.
      'totp_secrets',
      'passkeys',
      'recovery_codes',
      // One row for each thousands of tokens.
      'status_cursors',
      'status_lists',
      'status_blocks',
      'expected_verifiers',
      'nodes',
      'audit_head',
    ],
  )
})
