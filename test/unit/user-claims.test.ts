import t from 'tap'
import { isRolesClaimName, USER_CLAIM_NAMES, userClaimsOf } from '../../src/oauth/user-claims.ts'
import { user } from '../support/server/seed.ts'

const alice = await user({
  id: 'u_1',
  name: 'Alice Example',
  email: 'alice@example.test',
  emailVerified: true,
  givenName: 'Alice',
  familyName: 'Example',
  locale: 'en-GB',
  zoneinfo: 'Europe/London',
  updatedAt: 1234,
})
const profile = {
  name: 'Alice Example',
  given_name: 'Alice',
  family_name: 'Example',
  preferred_username: 'alice',
  locale: 'en-GB',
  zoneinfo: 'Europe/London',
  updated_at: 1234,
}
const email = { email: 'alice@example.test', email_verified: true }

t.test('a scope releases its claims and no others (OpenID Connect Core §5.4)', async (t) => {
  for (const [scopes, claims] of [
    [[], {}],
    [['openid'], {}],
    [['openid', 'profile'], profile],
    [['email', 'openid'], email],
    [['roles', 'openid'], { roles: ['clerk'] }],
    [['openid', 'profile', 'email', 'offline_access', 'orders:read'], { ...profile, ...email }],
    [['Profile', 'address', 'phone', 'constructor', '__proto__', 'toString', ''], {}],
  ] as const) {
    t.same(userClaimsOf(alice, scopes), { sub: 'u_1', ...claims }, scopes.join(' '))
  }
})

t.test(
  'single claims are released by name, whatever the scope, and unknown names are ignored (OpenID Connect Core §5.5)',
  async (t) => {
    t.same(userClaimsOf(alice, ['openid'], ['name']), { sub: 'u_1', name: 'Alice Example' })
    t.same(userClaimsOf(alice, ['openid', 'email'], ['updated_at']), {
      sub: 'u_1',
      ...email,
      updated_at: 1234,
    })
    const foreign = ['passwordHash', 'groups', 'id', 'constructor', '__proto__', 'picture', '']
    t.same(userClaimsOf(alice, [], foreign), { sub: 'u_1' })
    t.same(
      Object.keys(userClaimsOf(alice, [], USER_CLAIM_NAMES)).sort(),
      [...USER_CLAIM_NAMES].sort(),
      'all that are offered',
    )
  },
)

t.test('unknown values are omitted, neither null nor empty (OpenID Connect Core §5.3.2)', async (t) => {
  const scopes = ['openid', 'profile', 'email']
  const bare = await user({ id: 'u_2', emailVerified: true })
  t.same(userClaimsOf(bare, scopes, USER_CLAIM_NAMES), {
    sub: 'u_2',
    preferred_username: 'alice',
    updated_at: 1,
    roles: ['clerk'],
  })
  const blank = await user({ id: 'u_3', name: '', email: '', updatedAt: 5 })
  t.same(userClaimsOf(blank, scopes), { sub: 'u_3', preferred_username: 'alice', updated_at: 5 })
  const unsure = await user({ id: 'u_4', email: 'a@b.test' })
  t.match(userClaimsOf(unsure, scopes), { email: 'a@b.test', email_verified: false })
})

t.test('the claim for roles may have any name without another meaning (RFC 7519 §4.1)', async (t) => {
  for (const name of ['roles', 'groups', 'https://app.test/roles', 'cognito:groups', 'x'.repeat(200)]) {
    t.ok(isRolesClaimName(name), name)
  }
  for (const name of [
    ...['', ' ', 'my roles', 'röles', 'a"b', 'a\\b', 'a\nb', 'x'.repeat(201)],
    ...['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'azp', 'nonce', 'acr', 'amr', 'auth_time', 'sid'],
    ...['at_hash', 'c_hash', 'name', 'email', 'email_verified', 'given_name', 'address', 'updated_at'],
    ...['client_id', 'scope', 'cnf', 'status', 'events', '_claim_names'],
    ...['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'valueOf'],
  ]) {
    t.notOk(isRolesClaimName(name), name)
  }
})
