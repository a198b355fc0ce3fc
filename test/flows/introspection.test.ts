import { createHmac } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import { UnsecuredJWT } from 'jose'
import t from 'tap'
import { revokeKey, rotateRing } from '../../src/keys/rotate.ts'
import { freshCode, redeem, seedUsers, tokensOf } from '../support/browser/sign-in.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { basic, claimsOf, clientCredentials, kidOf, post } from '../support/server/requests.ts'
import { resigned } from '../support/server/resigned-tokens.ts'
import { client, ORDERS, STOCK, seed, user } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'
import { introspect, isActive, refreshed, revoke, signedIn } from '../support/server/tokens.ts'

const server = await testServer()
t.teardown(() => server.close())
const { store, clock } = server
const { alice } = await seed(store)
await store.clients.insert(client({ id: 'orders', introspects: [ORDERS], grants: [] }))
await store.clients.insert(client({ id: 'stock', introspects: [STOCK], grants: [], scopes: [] }))
await store.clients.insert(client({ id: 'counter', scopes: ['stock:read'] }))

const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().error]
/** Everything that a caller can see, except for the date. */
const seen = ({ statusCode, body, headers }: LightMyRequestResponse) => {
  const { date, ...rest } = headers
  return { statusCode, body, headers: rest }
}

t.test(
  'introspecting an active access token returns its claims to its client and its API (RFC 7662 §2.2)',
  async (t) => {
    const { access_token: token } = await signedIn(server)
    for (const as of ['app', 'orders']) {
      const answer = await introspect(server, token, as)
      t.equal(answer.headers['cache-control'], 'no-store')
      t.same(answer.json(), { active: true, token_type: 'Bearer', username: 'alice', ...claimsOf(token) })
    }
    const machine = (await clientCredentials(server)).json().access_token
    const ofMachine = (await introspect(server, machine, 'orders')).json()
    t.match(ofMachine, { active: true, sub: 'machine' })
    t.notOk('username' in ofMachine, 'no user is involved')
  },
)

t.test(
  'a client that may introspect the tokens of an API may do so with or without the slash of an empty path (RFC 3986 §6.2.3)',
  async (t) => {
    await store.clients.insert(client({ id: 'slashed', introspects: [`${ORDERS}/`], grants: [] }))
    await store.clients.insert(client({ id: 'elsewhere', introspects: [`${ORDERS}//`], grants: [] }))
    const { access_token: token } = await signedIn(server)
    t.match((await introspect(server, token, 'slashed')).json(), { active: true, aud: ORDERS })
    t.same((await introspect(server, token, 'elsewhere')).json(), { active: false })
  },
)

t.test(
  'introspecting an active refresh token returns its expiry to its client (RFC 7662 §2.2)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    t.same((await introspect(server, token)).json(), {
      active: true,
      client_id: 'app',
      sub: alice.id,
      username: 'alice',
      iss: ISSUER,
      iat: clock.now(),
      exp: clock.now() + 7 * 86_400,
      scope: 'orders:read orders:write',
    })
  },
)

t.test(
  'without the scope profile, a client does not learn the username by introspecting its own tokens (RFC 7662 §5; docs/security.md I109)',
  async (t) => {
    const own = await testServer()
    t.teardown(() => own.close())
    await seedUsers(own.store)
    await own.store.clients.insert(client({ id: 'orders', introspects: [ORDERS], grants: [] }))
    const tokens = async (scope: string) => tokensOf(await redeem(own, await freshCode(own, { scope })))
    const usernames = async (scope: string) => {
      const { access_token, refresh_token } = await tokens(scope)
      const answers = [
        await introspect(own, access_token, 'web'),
        await introspect(own, refresh_token, 'web'),
        await introspect(own, access_token, 'orders'),
      ]
      return answers.map((answer) => answer.json().username)
    }
    t.same(await usernames('openid orders:read'), [undefined, undefined, 'alice'], 'the API may know it')
    t.same(await usernames('openid profile orders:read'), ['alice', 'alice', 'alice'])
    const { access_token } = await tokens('openid profile orders:read')
    await own.store.clients.update('web', (web) => ({ ...web, scopes: ['openid', 'orders:read'] }))
    await own.poll()
    t.notOk(
      'username' in (await introspect(own, access_token, 'web')).json(),
      'the client has lost the scope',
    )
  },
)

t.test(
  'introspection requires an authenticated confidential client (RFC 7662 §2.1; docs/security.md I103)',
  async (t) => {
    const { access_token: token } = await signedIn(server)
    const publicPair = await signedIn(server, {}, 'phone')
    const url = '/oauth2/introspect'
    t.same(outcome(await post(server, url, { token })), [401, 'invalid_client'], 'nobody')
    t.same(outcome(await post(server, url, { token, client_id: 'app' })), [401, 'invalid_client'], 'a name')
    t.same(
      outcome(await introspect(server, publicPair.access_token, 'phone')),
      [401, 'invalid_client'],
      'public',
    )
    t.same(
      outcome(await post(server, url, { token }, { authorization: basic('app', 'wrong') })),
      [401, 'invalid_client'],
      'a wrong secret',
    )
    t.same(
      outcome(await post(server, url, { token }, { authorization: `Bearer ${token}` })),
      [401, 'invalid_client'],
      'the token itself is not accepted as authorization here',
    )
  },
)

t.test(
  'all inactive responses are identical, whatever the reason (RFC 7662 §2.2, RFC 7662 §4; docs/security.md I104, I105, I106)',
  async (t) => {
    const pair = await signedIn(server)
    const { access_token: token } = pair
    const [head = '', body = '', signature = ''] = token.split('.')
    const changed = (claims: object) =>
      Buffer.from(JSON.stringify({ ...claimsOf(token), ...claims })).toString('base64url')
    const now = clock.now()

    const ended = await signedIn(server)
    await revoke(server, ended.refresh_token)
    const single = await signedIn(server)
    await revoke(server, single.access_token)
    const old = await signedIn(server)
    await refreshed(server, old.refresh_token)
    const bob = await user({ username: 'bob' })
    await store.users.insert(bob)
    const disabled = await signedIn(server, { username: 'bob' })
    await store.users.setDisabled(bob.id, true)
    await store.clients.insert(client({ id: 'disabled' }))
    const ofDisabledClient = (await clientCredentials(server, {}, 'disabled')).json().access_token
    await store.clients.update('disabled', () => client({ id: 'disabled', disabled: true }))
    const stock = (await clientCredentials(server, {}, 'counter')).json().access_token
    await server.poll()

    const causes: Record<string, [token: string, as: string]> = {
      garbage: ['garbage', 'app'],
      'another API’s token': [stock, 'orders'],
      'another client’s access token': [token, 'machine'],
      'another client’s access token, to another resource server': [token, 'stock'],
      'another client’s refresh token': [pair.refresh_token, 'machine'],
      'a refresh token, to the resource server': [pair.refresh_token, 'orders'],
      'an access token of a session that ended': [ended.access_token, 'orders'],
      'a refresh token of a session that ended': [ended.refresh_token, 'app'],
      'a revoked access token': [single.access_token, 'app'],
      'a refresh token that was used': [old.refresh_token, 'app'],
      'a token of a disabled user': [disabled.access_token, 'orders'],
      'a refresh token of a disabled user': [disabled.refresh_token, 'app'],
      'a token of a disabled client': [ofDisabledClient, 'orders'],
      'another payload': [`${head}.${changed({ scope: 'everything' })}.${signature}`, 'orders'],
      'another audience': [`${head}.${changed({ aud: STOCK })}.${signature}`, 'stock'],
      'a later end': [`${head}.${changed({ exp: now + 9999 })}.${signature}`, 'orders'],
      'a cut signature': [token.slice(0, -2), 'orders'],
      'no signature': [`${head}.${body}.`, 'orders'],
      'alg none': [new UnsecuredJWT(claimsOf(token)).encode(), 'orders'],
      'HS256 with the public key': [await hs256(token), 'orders'],
      'expired, well signed': [await resigned(server, token, { exp: now - 1 }), 'orders'],
      'expires now': [await resigned(server, token, { exp: now }), 'orders'],
      'not yet valid': [await resigned(server, token, { nbf: now + 60 }), 'orders'],
      'another issuer': [await resigned(server, token, { iss: 'https://other.test' }), 'orders'],
      'no client': [await resigned(server, token, { client_id: 'unheard' }), 'orders'],
      'an unknown session': [await resigned(server, token, { sid: 'unheard' }), 'orders'],
      'a JWT of another kind': [await resigned(server, token, {}, 'JWT'), 'orders'],
      'a client assertion’s type': [await resigned(server, token, {}, 'client-authentication+jwt'), 'orders'],
    }
    const inactive = seen(await introspect(server, 'x'))
    t.match(inactive, { statusCode: 200, body: '{"active":false}' })
    await writesNothing(t, server, async () => {
      for (const [cause, [presented, as]] of Object.entries(causes)) {
        for (const hint of [undefined, 'access_token', 'refresh_token', 'foo']) {
          const form = hint === undefined ? {} : { token_type_hint: hint }
          t.same(seen(await introspect(server, presented, as, form)), inactive, `${cause}, hint ${hint}`)
        }
      }
    })
    t.ok(await isActive(server, token), 'the genuine token stays active')
    t.ok(await isActive(server, pair.refresh_token))
  },
)

/** RFC 8725 §2.1: the public key used as a shared secret. */
async function hs256(token: string): Promise<string> {
  const { keys } = (await server.inject({ url: '/.well-known/jwks.json' })).json()
  const key = JSON.stringify(keys[0])
  const header = Buffer.from(JSON.stringify({ alg: 'HS256', typ: 'at+jwt', kid: keys[0].kid }))
  const signed = `${header.toString('base64url')}.${token.split('.')[1]}`
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
}

t.test(
  'a wrong or unknown token_type_hint does not change the response for an active token (RFC 7662 §2.1; docs/security.md I100)',
  async (t) => {
    const pair = await signedIn(server)
    for (const token of [pair.access_token, pair.refresh_token]) {
      const plain = seen(await introspect(server, token))
      for (const hint of ['access_token', 'refresh_token', 'foo']) {
        t.same(seen(await introspect(server, token, 'app', { token_type_hint: hint })), plain, hint)
      }
    }
  },
)

t.test(
  'a missing or repeated token at introspection is invalid_request (RFC 7662 §2.1; docs/security.md A3)',
  async (t) => {
    for (const form of [{}, { token: '' }, { token: ['a', 'b'] }]) {
      const answer = await post(server, '/oauth2/introspect', form, { authorization: basic('app') })
      t.same(outcome(answer), [400, 'invalid_request'])
    }
  },
)

t.test(
  'introspection reports a token inactive from the second in its exp claim (RFC 7662 §4; docs/security.md I106)',
  async (t) => {
    const { access_token: token } = await signedIn(server)
    clock.tick(599)
    t.ok(await isActive(server, token))
    clock.tick(1)
    t.notOk(await isActive(server, token))
  },
)

t.test(
  'tokens of a retiring key stay active, and tokens of a revoked key become inactive at once (RFC 7662 §4; docs/security.md I106)',
  async (t) => {
    const keys = server.deps.keys
    const { access_token: first } = await signedIn(server)
    await rotateRing(keys, { actor: 'operator:test', force: true })
    await server.poll()
    const { access_token: second } = await signedIn(server)
    t.ok(await isActive(server, first), 'its key is retiring')
    t.ok(await isActive(server, second))

    const kid = kidOf(first)
    await revokeKey(keys, kid, { actor: 'operator:test' })
    await server.poll()
    t.same((await introspect(server, first, 'orders')).json(), { active: false })
    t.ok(await isActive(server, second))
  },
)

t.test(
  'tokens of a retired key are inactive: the key was removed after the last of them expired (RFC 7662 §4; docs/security.md I106)',
  async (t) => {
    const { access_token: token } = await signedIn(server)
    await rotateRing(server.deps.keys, { actor: 'operator:test', force: true })
    clock.tick(3600)
    await server.poll()
    const { keys } = (await server.inject({ url: '/.well-known/jwks.json' })).json()
    const kid = kidOf(token)
    t.notOk(keys.some((key: { kid: string }) => key.kid === kid))
    t.same((await introspect(server, token)).json(), { active: false })
  },
)

t.test(
  'introspection returns what the token still grants: a scope that the roles no longer grant is missing, and if none is left the token is inactive',
  async (t) => {
    const { access_token: token } = await signedIn(server)
    const seen = async () => (await introspect(server, token, 'orders')).json()
    t.match(await seen(), { active: true, scope: 'orders:read orders:write', roles: ['clerk'] })
    await store.roles.update('clerk', (one) => ({ ...one, scopes: ['orders:read'] }))
    await server.poll()
    t.match(await seen(), { active: true, scope: 'orders:read', roles: ['clerk'] })
    await store.users.removeRole(alice.id, 'clerk')
    t.same(await seen(), { active: false })
    await store.users.addRole(alice.id, 'clerk')
    await store.roles.update('clerk', (one) => ({ ...one, scopes: ['orders:read', 'orders:write'] }))
    await server.poll()
  },
)
