/** Which algorithm signs what, and that it changes only when no verifier can lack the key. */
import { createHash } from 'node:crypto'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { addLane, removeLane, setDefaultLane } from '../../src/keys/change-lanes.ts'
import { laneNames } from '../../src/keys/ring.ts'
import { rotateRing } from '../../src/keys/rotate.ts'
import type { Api } from '../../src/store/contracts/apis.ts'
import { type Administrator, administrator } from '../support/server/administrator.ts'
import { DAY } from '../support/server/keys.ts'
import { relyingParty } from '../support/server/relying-party.ts'
import { claimsOf, clientCredentials } from '../support/server/requests.ts'
import { client, ORDERS, STOCK, seed } from '../support/server/seed.ts'
import { ISSUER, type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'
import { pairOf, revoke, signedIn } from '../support/server/tokens.ts'
import { until } from '../support/server/waiting.ts'

const me = { actor: 'test' }
const LANES = 'RS256 PS256 ES256 EdDSA ES384 RS512'

async function start(t: Test, settings: Record<string, string> = {}, options: TestServerOptions = {}) {
  const server = await testServer({ settings, ...options })
  t.teardown(() => server.close())
  await seed(server.store)
  await server.store.clients.update('app', (one) => ({ ...one, scopes: ['openid', ...one.scopes] }))
  await server.poll()
  return server
}

const jwksOf = async (server: TestServer) =>
  createLocalJWKSet((await server.inject({ method: 'GET', url: '/.well-known/jwks.json' })).json())

const metadataOf = async (server: TestServer): Promise<Record<string, unknown>> =>
  (await server.inject({ method: 'GET', url: '/.well-known/openid-configuration' })).json()

/** The algorithm of a token that verifies with the JWKS. */
async function algOf(server: TestServer, token: string): Promise<string | undefined> {
  const { alg } = decodeProtectedHeader(token)
  await jwtVerify(token, await jwksOf(server), {
    issuer: ISSUER,
    algorithms: [alg ?? ''],
    currentDate: new Date(server.clock.now() * 1000),
  })
  return alg
}

const issuedFor = async (server: TestServer, resource: string): Promise<string> =>
  pairOf(await clientCredentials(server, { resource })).access_token

const setAlg = (server: TestServer, identifier: string, signingAlg: Api['signingAlg']) =>
  server.store.apis.update(identifier, (api) => ({ ...api, signingAlg }))

t.test('an access token is signed with the algorithm of its API, else with the default', async (t) => {
  const server = await start(t as Test, { ALGORITHMS: LANES })
  await server.store.clients.update('machine', (one) => ({ ...one, scopes: [...one.scopes, 'stock:read'] }))
  await server.poll()
  t.equal(await algOf(server, await issuedFor(server, ORDERS)), 'RS256')
  for (const alg of LANES.split(' ')) {
    await setAlg(server, ORDERS, alg)
    await server.poll()
    t.equal(await algOf(server, await issuedFor(server, ORDERS)), alg)
    t.equal(await algOf(server, await issuedFor(server, STOCK)), 'RS256', 'and no other API')
  }
})

const HASHES = {
  RS256: 'sha256',
  PS256: 'sha256',
  ES256: 'sha256',
  ES384: 'sha384',
  RS512: 'sha512',
  EdDSA: 'sha512',
}

t.test(
  'an ID token is signed with the algorithm of its client, and at_hash follows from it (OpenID Connect Core §3.1.3.6)',
  async (t) => {
    const server = await start(t as Test, { ALGORITHMS: LANES })
    await setAlg(server, ORDERS, 'ES256')
    for (const [alg, hash] of Object.entries(HASHES)) {
      await server.store.clients.update('app', (one) => ({ ...one, idTokenSigningAlg: alg }))
      await server.poll()
      const { access_token, id_token = '' } = await signedIn(server, { scope: 'openid orders:read' })
      t.equal(await algOf(server, access_token), 'ES256')
      t.equal(await algOf(server, id_token), alg)
      const digest = createHash(hash).update(access_token).digest()
      t.equal(claimsOf(id_token).at_hash, digest.subarray(0, digest.length / 2).toString('base64url'), alg)
    }
    await server.store.clients.update('app', (one) => ({ ...one, idTokenSigningAlg: null }))
    await server.poll()
    t.equal(await algOf(server, (await signedIn(server, { scope: 'openid' })).id_token ?? ''), 'RS256')
  },
)

t.test('a logout token has the algorithm of the client’s ID tokens (Back-Channel Logout §2.6)', async (t) => {
  const server = await start(t as Test, { ALGORITHMS: 'RS256 ES256' })
  const rp = await relyingParty(t)
  await server.store.clients.insert(
    client({
      id: 'web',
      grants: ['password', 'refresh_token'],
      backchannelLogoutUri: rp.uri,
      idTokenSigningAlg: 'ES256',
    }),
  )
  const { refresh_token } = await signedIn(server, {}, 'web')
  await revoke(server, refresh_token, 'web')
  await server.poll()
  await until(() => rp.received.length > 0)
  t.equal(await algOf(server, rp.received[0]?.form.get('logout_token') ?? ''), 'ES256')
})

t.test('a new default signs what names no algorithm, and the metadata says what is true', async (t) => {
  const server = await start(t as Test)
  const { keys } = server.deps
  t.same((await metadataOf(server)).id_token_signing_alg_values_supported, ['RS256'])
  await addLane(keys, 'ES256', me)
  await server.poll()
  t.same((await metadataOf(server)).id_token_signing_alg_values_supported, ['RS256', 'ES256'])
  await t.rejects(setDefaultLane(keys, 'ES256', me), {
    name: 'LaneUnsafe',
    safeFrom: server.clock.now() + DAY,
  })
  server.clock.tick(DAY)
  await setDefaultLane(keys, 'ES256', me)
  await server.poll()
  t.same((await metadataOf(server)).id_token_signing_alg_values_supported, ['ES256', 'RS256'])
  const { access_token, id_token = '' } = await signedIn(server, { scope: 'openid orders:read' })
  t.same([await algOf(server, access_token), await algOf(server, id_token)], ['ES256', 'ES256'])
  const status = await server.inject({ method: 'GET', url: '/.well-known/status-lists/0' })
  t.equal(status.statusCode === 200 ? decodeProtectedHeader(status.body).alg : 'ES256', 'ES256')

  await removeLane(keys, 'RS256', me)
  await server.poll()
  t.same((await metadataOf(server)).id_token_signing_alg_values_supported, ['ES256'])
})

t.test('tokens of before a change of the default are good until they expire', async (t) => {
  const server = await start(t as Test, { ALGORITHMS: 'RS256 EdDSA' })
  const { access_token, refresh_token } = await signedIn(server, { scope: 'openid orders:read' })
  await setDefaultLane(server.deps.keys, 'EdDSA', me)
  await removeLane(server.deps.keys, 'RS256', me)
  await server.poll()
  t.equal(await algOf(server, access_token), 'RS256')
  const authorization = `Bearer ${access_token}`
  const userinfo = await server.inject({ method: 'GET', url: '/oauth2/userinfo', headers: { authorization } })
  t.equal(userinfo.statusCode, 200)
  t.ok(refresh_token)
})

const isOf = (type: string) => ({ type: `urn:keyturn:problem:${type}` })

/** The three ways to choose an algorithm, as requests of the administration API. */
const CHOICES: Readonly<
  Record<string, (send: Administrator['send'], alg: string | null) => ReturnType<Administrator['send']>>
> = {
  'an API that is changed': (send, alg) =>
    send('PATCH', `/apis/${encodeURIComponent(ORDERS)}`, { signing_alg: alg }),
  'an API that is created': (send, alg) =>
    send('POST', '/apis', { identifier: 'https://new.test', scopes: ['new:read'], signing_alg: alg }),
  'the ID tokens of a client that is changed': (send, alg) =>
    send('PATCH', '/clients/app', { id_token_signed_response_alg: alg }),
  'the ID tokens of a client that is created': (send, alg) =>
    send('POST', '/clients', {
      client_id: 'new',
      client_name: 'new',
      redirect_uris: ['https://new.test/back'],
      grant_types: ['authorization_code'],
      id_token_signed_response_alg: alg,
    }),
}

for (const [what, choose] of Object.entries(CHOICES)) {
  t.test(`${what}: an algorithm is refused until no verifier can lack its key`, async (t) => {
    const server = await start(t as Test)
    const { send } = await administrator(server)
    const before = await server.store.apis.list()
    const clients = await server.store.clients.page(null, 1000)
    const unknown = await choose(send, 'ES256')
    t.equal(unknown.statusCode, 409, unknown.body)
    t.match(unknown.json(), { ...isOf('conflict'), detail: /no lane ES256.*keys lanes add ES256/ })

    await server.store.verifiers.expect('orders', server.clock.now())
    await server.store.verifiers.record([
      { name: 'orders', instance: '1', ringVersion: 1, seenAt: server.clock.now() },
    ])
    await addLane(server.deps.keys, 'ES256', me)
    const safeFrom = server.clock.now() + DAY
    const refused = await choose(send, 'ES256')
    t.equal(refused.statusCode, 409)
    t.match(refused.json(), { ...isOf('lane-unsafe'), safe_from: safeFrom, behind: ['orders'] })
    t.same(await server.store.apis.list(), before)
    t.same(await server.store.clients.page(null, 1000), clients, 'nothing has changed')

    server.clock.set(safeFrom)
    await server.store.verifiers.record([
      { name: 'orders', instance: '1', ringVersion: 2, seenAt: server.clock.now() },
    ])
    const accepted = await choose(send, 'ES256')
    t.ok(accepted.statusCode < 300, accepted.body)
    await t.rejects(removeLane(server.deps.keys, 'ES256', me), { name: 'LaneInUse' })
    t.same(laneNames(server.deps.signing.ring.ring()), ['RS256', 'ES256'])
  })
}

t.test(
  'an algorithm that stays is not checked again, and going back to the default is always possible',
  async (t) => {
    const server = await start(t as Test, { ALGORITHMS: 'RS256 ES256' })
    const { send } = await administrator(server)
    const choose = CHOICES['an API that is changed']
    if (!choose) throw new Error('no such choice')
    t.equal((await choose(send, 'ES256')).statusCode, 200)
    for (let i = 0; i < 2; i += 1)
      await rotateRing(server.deps.keys, { ...me, force: true, lanes: ['ES256', 'RS256'] })
    t.equal((await choose(send, 'ES256')).statusCode, 200)
    t.equal((await choose(send, null)).statusCode, 200)
    t.equal((await choose(send, 'ES256')).statusCode, 409)
  },
)
