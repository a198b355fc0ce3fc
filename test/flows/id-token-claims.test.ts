/** Claims about the user in ID tokens and at userinfo: what the scopes `profile`, `email` and `roles` stand for. */
import t from 'tap'
import { openBrowser } from '../support/browser/browser.ts'
import {
  authorizeUrl,
  codeClient,
  freshCode,
  type Overrides,
  redeem,
  type SignedInTokens,
  seedUsers,
  tokensOf,
} from '../support/browser/sign-in.ts'
import { claimsOf, login, refresh } from '../support/server/requests.ts'
import { testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
const { alice } = await seedUsers(server.store)
const { clients, roles, users } = server.store
const SCOPES = ['openid', 'profile', 'email', 'roles', 'orders:read']
await roles.insert({ name: 'auditor', scopes: ['stock:read'], requireSecondFactor: false, createdAt: 1 })
await users.update(alice.id, (one) => ({
  ...one,
  name: 'Alice',
  email: 'alice@example.test',
  emailVerified: true,
  roles: ['clerk', 'auditor'],
  updatedAt: 1234,
}))
for (const [id, overrides] of Object.entries({
  shop: {},
  bare: { claimsInIdToken: false },
  cluster: { rolesClaim: 'groups' },
  namespaced: { rolesClaim: 'https://app.test/roles', claimsInIdToken: false },
  narrow: { scopes: ['openid', 'orders:read'] },
})) {
  const grants = ['authorization_code', 'refresh_token', 'password']
  await clients.insert(codeClient({ id, scopes: SCOPES, grants, ...overrides }))
}
await server.poll()

const signedIn = async (client_id: string, overrides: Overrides = {}): Promise<SignedInTokens> =>
  tokensOf(
    await redeem(
      server,
      await freshCode(server, { client_id, scope: 'openid profile email roles orders:read', ...overrides }),
      { as: client_id },
    ),
  )

const PROTOCOL = ['iss', 'aud', 'iat', 'exp', 'auth_time', 'nonce', 'acr', 'amr', 'sid', 'at_hash']

/** The claims of an ID token that are about the user. */
function aboutUser({ id_token }: Pick<SignedInTokens, 'id_token'>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claimsOf(id_token)).filter(([name]) => !PROTOCOL.includes(name)))
}

async function userinfo({ access_token }: Pick<SignedInTokens, 'access_token'>) {
  const headers = { authorization: `Bearer ${access_token}` }
  return (await server.inject({ url: '/oauth2/userinfo', headers })).json()
}

const ROLES = ['auditor', 'clerk']
const PROFILE = { name: 'Alice', preferred_username: 'alice', updated_at: 1234 }
const EMAIL = { email: 'alice@example.test', email_verified: true }
const ALL = { sub: alice.id, ...PROFILE, ...EMAIL }
const sorted = ({ roles: names, groups, ...rest }: Record<string, unknown>) => ({
  ...rest,
  ...(Array.isArray(names) ? { roles: names.toSorted() } : {}),
  ...(Array.isArray(groups) ? { groups: groups.toSorted() } : {}),
})

t.test(
  'the claims of the granted scopes are in the ID token and at userinfo (OpenID Connect Core §5.4)',
  async (t) => {
    for (const [scope, claims] of Object.entries({
      'openid profile email roles orders:read': { ...PROFILE, ...EMAIL, roles: ROLES },
      'openid profile': PROFILE,
      'openid email': EMAIL,
      'openid roles': { roles: ROLES },
      openid: {},
    })) {
      const tokens = await signedIn('shop', { scope })
      t.same(sorted(aboutUser(tokens)), { sub: alice.id, ...claims }, `ID token for ${scope}`)
      t.same(sorted(await userinfo(tokens)), { sub: alice.id, ...claims }, `userinfo for ${scope}`)
    }
  },
)

t.test('the claims are also in the ID tokens of refreshes and of the password grant', async (t) => {
  const { refresh_token } = await signedIn('shop')
  const again = (await refresh(server, refresh_token, {}, 'shop')).json()
  t.same(sorted(aboutUser(again)), { ...ALL, roles: ROLES })
  const byPassword = (await login(server, { scope: 'openid email' }, 'shop')).json()
  t.same(aboutUser(byPassword), { sub: alice.id, ...EMAIL })
  const narrowed = (
    await refresh(server, again.refresh_token, { scope: 'openid email orders:read' }, 'shop')
  ).json()
  t.same(aboutUser(narrowed), { sub: alice.id, ...EMAIL }, 'a narrower refresh')
})

t.test(
  'a client that is registered without claims in ID tokens gets them only at userinfo, unless it requests them by name (OpenID Connect Core §5.5)',
  async (t) => {
    const tokens = await signedIn('bare')
    t.same(aboutUser(tokens), { sub: alice.id })
    t.same(sorted(await userinfo(tokens)), { ...ALL, roles: ROLES })
    t.same(aboutUser((await refresh(server, tokens.refresh_token, {}, 'bare')).json()), { sub: alice.id })
    const claims = JSON.stringify({ id_token: { email: null, roles: null } })
    t.same(sorted(aboutUser(await signedIn('bare', { claims, scope: 'openid' }))), {
      sub: alice.id,
      email: EMAIL.email,
      roles: ROLES,
    })
  },
)

t.test('the claim for roles has the name that the client is registered with', async (t) => {
  const tokens = await signedIn('cluster')
  t.same(sorted(aboutUser(tokens)), { ...ALL, groups: ROLES })
  t.same(sorted(await userinfo(tokens)), { ...ALL, groups: ROLES })
  t.same(claimsOf(tokens.access_token).roles, ['clerk'], 'access tokens keep the name of RFC 9068')
  const byName = (name: string) =>
    signedIn('namespaced', { scope: 'openid', claims: JSON.stringify({ id_token: { [name]: null } }) })
  t.same(Object.keys(aboutUser(await byName('https://app.test/roles'))).sort(), [
    'https://app.test/roles',
    'sub',
  ])
  t.same(aboutUser(await byName('roles')), { sub: alice.id }, 'the client has no such claim')
})

t.test(
  'a claim needs a scope that the client is registered for and the user has allowed (OpenID Connect Core §5.4)',
  async (t) => {
    const tokens = await signedIn('narrow', { claims: '{"id_token":{"email":null,"roles":null}}' })
    t.same(aboutUser(tokens), { sub: alice.id })
    t.equal(tokens.scope, 'openid orders:read')
    const browser = openBrowser(server)
    const page = await browser.open(authorizeUrl({ client_id: 'shop', scope: 'openid roles' }))
    const consent = await browser.submit(page, {
      form: '/login',
      fill: { username: 'alice', password: 'correct horse battery staple' },
    })
    t.match(consent.body, /see your roles/)
    const german = await browser.open(
      authorizeUrl({ client_id: 'shop', scope: 'openid roles', ui_locales: 'de' }),
    )
    t.match(german.body, /Ihre Rollen sehen/)
  },
)

t.test('claims follow the present account and what remains of the grant', async (t) => {
  const { refresh_token, access_token } = await signedIn('shop')
  await users.update(alice.id, (one) => ({ ...one, email: 'new@example.test', roles: ['clerk'] }))
  await clients.update('shop', (one) => ({ ...one, scopes: ['openid', 'email', 'roles', 'orders:read'] }))
  await server.poll()
  const expected = { sub: alice.id, email: 'new@example.test', email_verified: true, roles: ['clerk'] }
  t.same(aboutUser((await refresh(server, refresh_token, {}, 'shop')).json()), expected)
  t.same(await userinfo({ access_token }), expected)
  await users.update(alice.id, (one) => ({ ...one, roles: [] }))
  const empty = await signedIn('cluster', { scope: 'openid roles' })
  t.same(aboutUser(empty), { sub: alice.id, groups: [] }, 'a user without roles')
})
