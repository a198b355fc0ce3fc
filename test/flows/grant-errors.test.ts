import t from 'tap'
import { GRANT_NAMES } from '../../src/oauth/grants/index.ts'
import { freshCode, seedUsers, VERIFIER, WEB_REDIRECT } from '../support/browser/sign-in.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { refused } from '../support/server/error-responses.ts'
import {
  basic,
  claimsOf,
  clientCredentials,
  type Form,
  post,
  tokenRequest,
} from '../support/server/requests.ts'
import { client, PASSWORD } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { signedIn } from '../support/server/tokens.ts'

const server = await testServer()
t.teardown(() => server.close())
await seedUsers(server.store)
const { store } = server

/** A request that each grant would accept. */
const GOOD: Record<string, () => Promise<Form>> = {
  authorization_code: async () => ({
    code: await freshCode(server),
    redirect_uri: WEB_REDIRECT,
    code_verifier: VERIFIER,
  }),
  client_credentials: async () => ({}),
  password: async () => ({ username: 'alice', password: PASSWORD }),
  refresh_token: async () => ({ refresh_token: (await signedIn(server)).refresh_token }),
}

t.test('an unknown grant type is unsupported_grant_type (RFC 6749 §5.2; docs/security.md E55)', async (t) => {
  const unknown = [
    'implicit',
    'urn:ietf:params:oauth:grant-type:device_code',
    'urn:ietf:params:oauth:grant-type:jwt-bearer',
    'urn:ietf:params:oauth:grant-type:token-exchange',
    'CLIENT_CREDENTIALS',
    'client_credentials ',
    'client_credentials refresh_token',
    '__proto__',
    'constructor',
    'x'.repeat(5000),
  ]
  await writesNothing(t, server, async () => {
    for (const grant_type of unknown) {
      const answer = await tokenRequest(server, { grant_type })
      refused(t, answer, { error: 'unsupported_grant_type' }, grant_type.slice(0, 50))
    }
  })
})

t.test(
  'the available grant types are revealed to authenticated clients only (RFC 6749 §5.2; docs/security.md E55)',
  async (t) => {
    for (const grant_type of ['x', 'client_credentials']) {
      const answer = await post(
        server,
        '/oauth2/token',
        { grant_type },
        { authorization: basic('machine', 'x') },
      )
      refused(t, answer, { status: 401, error: 'invalid_client' }, grant_type)
    }
  },
)

t.test(
  'a grant for which the client is not registered is unauthorized_client (docs/security.md E55, E56, E61)',
  async (t) => {
    t.same(Object.keys(GOOD).sort(), [...GRANT_NAMES].sort(), 'all grants are tested')
    for (const registered of GRANT_NAMES) {
      await store.clients.insert(client({ id: `only ${registered}`, grants: [registered] }))
    }
    await store.clients.insert(client({ id: 'no grant', grants: [] }))
    const forms = Object.fromEntries(
      await Promise.all(GRANT_NAMES.map(async (name) => [name, (await GOOD[name]?.()) ?? {}] as const)),
    )
    await writesNothing(t, server, async () => {
      for (const as of [...GRANT_NAMES.map((name) => `only ${name}`), 'no grant']) {
        for (const grant_type of GRANT_NAMES) {
          if (as === `only ${grant_type}`) continue
          const answer = await tokenRequest(server, { grant_type, ...forms[grant_type] }, as)
          refused(t, answer, { error: 'unauthorized_client' }, `${as} asks by ${grant_type}`)
        }
      }
    })
  },
)

t.test(
  'a public client cannot use client_credentials, even if registered for it (RFC 6749 §4.4; docs/security.md E61)',
  async (t) => {
    const grants = [...GRANT_NAMES]
    await store.clients.insert(client({ id: 'open', authMethod: 'none', grants }))
    await writesNothing(t, server, async () => {
      const answer = await post(server, '/oauth2/token', {
        grant_type: 'client_credentials',
        client_id: 'open',
      })
      refused(t, answer, { error: 'unauthorized_client' })
    })
  },
)

t.test('an invalid code or token is invalid_grant (RFC 6749 §5.2; docs/security.md E55)', async (t) => {
  await writesNothing(
    t,
    server,
    async () => {
      const garbage = { grant_type: 'refresh_token', refresh_token: 'garbage' }
      refused(t, await tokenRequest(server, garbage, 'app'), { error: 'invalid_grant' }, 'a refresh token')
      const wrong = { grant_type: 'password', username: 'alice', password: 'wrong' }
      refused(t, await tokenRequest(server, wrong, 'app'), { error: 'invalid_grant' }, 'a password')
    },
    // A wrong password is counted.
    ['rate_limits'],
  )
})

t.test(
  'client_credentials returns no refresh token and no user claims (RFC 6749 §4.4.3; docs/security.md E61, E64)',
  async (t) => {
    await store.clients.insert(client({ id: 'both', grants: ['client_credentials', 'refresh_token'] }))
    const answer = (await clientCredentials(server, { scope: 'orders:read offline_access' }, 'both')).json()
    t.notOk('refresh_token' in answer)
    const claims = claimsOf(answer.access_token)
    t.equal(claims.sub, 'both')
    for (const name of ['roles', 'auth_time', 'sid', 'nonce', 'email']) t.notOk(name in claims, name)
  },
)

t.test(
  'a disabled or deleted client gets no tokens after the next poll for changes (RFC 6749 §5.2, RFC 7662 §4; docs/security.md E62)',
  async (t) => {
    await store.clients.insert(client({ id: 'doomed' }))
    t.equal((await clientCredentials(server, {}, 'doomed')).statusCode, 200)
    await store.clients.update('doomed', () => client({ id: 'doomed', disabled: true }))
    await server.poll()
    const REFUSED = { status: 401, error: 'invalid_client' }
    refused(t, await clientCredentials(server, {}, 'doomed'), REFUSED, 'disabled')
    await store.clients.update('doomed', () => client({ id: 'doomed' }))
    t.equal((await clientCredentials(server, {}, 'doomed')).statusCode, 200, 'enabled again, at once')
    await store.clients.delete('doomed')
    await server.poll()
    refused(t, await clientCredentials(server, {}, 'doomed'), REFUSED, 'deleted')
  },
)

t.test(
  'a client loses removed grants and scopes after the next poll for changes (RFC 6749 §5.2, RFC 7662 §4; docs/security.md E62)',
  async (t) => {
    await store.clients.insert(client({ id: 'shrinking' }))
    const scopeOf = async () => (await clientCredentials(server, {}, 'shrinking')).json().scope
    t.equal(await scopeOf(), 'orders:read orders:write')
    await store.clients.update('shrinking', () => client({ id: 'shrinking', scopes: ['orders:read'] }))
    await server.poll()
    t.equal(await scopeOf(), 'orders:read')
    await store.clients.update('shrinking', () => client({ id: 'shrinking', grants: [] }))
    await server.poll()
    refused(t, await clientCredentials(server, {}, 'shrinking'), { error: 'unauthorized_client' })
  },
)
