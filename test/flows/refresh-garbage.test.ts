import { createHmac, randomBytes } from 'node:crypto'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import { hashPassword } from '../../src/accounts/password.ts'
import { openRoot } from '../../src/keys/data-keys.ts'
import { deriveKey } from '../../src/keys/encryption.ts'
import { createRefreshTokenCodec } from '../../src/tokens/refresh-token.ts'
import { rootsOf } from '../support/server/keys.ts'
import { countQueries } from '../support/server/query-count.ts'
import { basic, claimsOf, encodeForm, type Form, post, refresh } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'
import { refreshed, signedIn } from '../support/server/tokens.ts'

const masterKey = randomBytes(32)
const server = await testServer({ masterKey: masterKey.toString('base64url') })
t.teardown(() => server.close())
await seed(server.store)
const { refresh_token: genuine } = await signedIn(server)
const [stored] = await server.store.roots.list()
if (!stored) throw new Error('there is no root')
const root = openRoot(server.deps.keys.holder, stored)
const [, sessionId = '', , mac = ''] = genuine.split('.')

const letters = (length: number) => randomBytes(length).toString('base64url').slice(0, length)
const stranger = createRefreshTokenCodec(rootsOf(randomBytes(32)))

/** One garbage token each; the nearer to a real one the better. */
const shapes: Record<string, () => string> = {
  'random text': () => letters(43),
  'one letter': () => 'x',
  'our shape, random session and MAC': () => `ktr.${letters(27)}.1.${letters(43)}`,
  'a real session, random MAC': () => `ktr.${sessionId}.1.${letters(43)}`,
  'a real session, another root': () => stranger.write({ sessionId, generation: 1 }),
  'a real MAC, another generation': () => `ktr.${sessionId}.${1 + Math.ceil(Math.random() * 1e9)}.${mac}`,
  'a real MAC, another session': () => `ktr.${letters(27)}.1.${mac}`,
  'a MAC under the master key itself': () =>
    `ktr.${sessionId}.1.${createHmac('sha256', masterKey).update(`${sessionId}.1`).digest('base64url')}`,
  'a MAC under what the master key itself would give': () => {
    const key = deriveKey(masterKey, 'keyturn/refresh-token-mac/v1')
    return `ktr.${sessionId}.1.${createHmac('sha256', key).update(`${sessionId}.1`).digest('base64url')}`
  },
  'a MAC under the root itself': () =>
    `ktr.${sessionId}.1.${createHmac('sha256', root).update(`${sessionId}.1`).digest('base64url')}`,
  'a MAC under the key of another purpose': () => {
    const key = deriveKey(root, 'keyturn/throttle-key/v1')
    return `ktr.${sessionId}.1.${createHmac('sha256', key).update(`${sessionId}.1`).digest('base64url')}`
  },
  'one bit flipped': () => {
    const at = Math.floor(Math.random() * genuine.length)
    const letter = genuine[at] === 'A' ? 'B' : 'A'
    return genuine.slice(0, at) + letter + genuine.slice(at + 1)
  },
  'cut short': () => genuine.slice(0, Math.floor(Math.random() * (genuine.length - 1)) + 1),
  'something after it': () => genuine + letters(1 + Math.floor(Math.random() * 20)),
  'white space around it': () => ` ${genuine}\n`,
  'another prefix': () => genuine.replace('ktr', letters(3)),
  'zero and leading zeros': () => `ktr.${sessionId}.0${Math.ceil(Math.random() * 9)}.${mac}`,
  'a negative generation': () => `ktr.${sessionId}.-1.${mac}`,
  'a huge generation': () => `ktr.${sessionId}.99999999999.${mac}`,
  'a JWT': () => `${letters(40)}.${letters(200)}.${letters(342)}`,
  SQL: () => `' OR 1=1 -- ${letters(5)}`,
  'another spelling of the same MAC': () => {
    // The last of 43 letters carries two spare bits: three other letters decode to the same bytes.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet.indexOf(genuine.at(-1) ?? 'A')
    return genuine.slice(0, -1) + alphabet[last ^ 1]
  },
}

const form = (token: string, more: Form = {}): Form => ({
  grant_type: 'refresh_token',
  refresh_token: token,
  ...more,
})

t.test('every shape of garbage is invalid_grant, and no database query (must-show 5)', async (t) => {
  await refreshed(server, genuine)
  const queries = countQueries(server.store)
  for (const [shape, make] of Object.entries(shapes)) {
    for (const [who, more, headers] of [
      ['a known client', {}, { authorization: basic('app') }],
      ['a public client', { client_id: 'phone' }, {}],
      ['an unknown client', { client_id: letters(8) }, {}],
      ['a wrong secret', {}, { authorization: basic('app', 'wrong') }],
      ['nobody', {}, {}],
    ] as const) {
      const answer = await post(server, '/oauth2/token', form(make(), more), headers)
      t.match([answer.statusCode, answer.json().error], [400, 'invalid_grant'], `${shape}, ${who}`)
    }
  }
  t.equal(queries.count(), 0)

  await refreshed(server, genuine)
  t.not(queries.count(), 0, 'a genuine one is counted')
})

t.test('twenty thousand garbage tokens of all shapes: still none (must-show 5)', async (t) => {
  const queries = countQueries(server.store)
  const makers = Object.values(shapes)
  const clients = ['app', 'phone', 'unheard', 'machine']
  const statuses = new Map<number, number>()
  for (let n = 0; n < 20_000; ) {
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => {
        const make = makers[n % makers.length] ?? (() => '')
        const as = clients[n % clients.length] ?? ''
        n += 1
        return server.inject({
          method: 'POST',
          url: '/oauth2/token',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          payload: encodeForm(form(make(), { client_id: as })),
        })
      }),
    )
    for (const { statusCode } of answers) statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
    server.logger.lines.length = 0
  }
  t.same([...statuses], [[400, 20_000]])
  t.equal(queries.count(), 0)
})

t.test(
  'garbage neither hashes a chosen secret nor uses up a client assertion (must-show 5, B23)',
  async (t) => {
    const key = randomBytes(32).toString('base64url')
    await server.store.clients.insert(
      client({ id: 'chosen', secretHash: await hashPassword(key), grants: ['refresh_token'] }),
    )
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256', kid: 'k' }] as never }
    await server.store.clients.insert(
      client({
        id: 'signs',
        authMethod: 'private_key_jwt',
        jwks,
        grants: ['refresh_token', 'client_credentials'],
      }),
    )
    const now = server.clock.now()
    const assertion = await new SignJWT({ jti: 'only-once' })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .setIssuer('signs')
      .setSubject('signs')
      .setAudience(ISSUER)
      .setIssuedAt(now)
      .setExpirationTime(now + 60)
      .sign(privateKey)
    const proof = {
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }

    const queries = countQueries(server.store)
    t.equal((await post(server, '/oauth2/token', form('x', proof))).statusCode, 400)
    const chosen = { authorization: basic('chosen', key) }
    t.equal((await post(server, '/oauth2/token', form('x'), chosen)).statusCode, 400)
    t.equal(queries.count(), 0)

    const good = await post(server, '/oauth2/token', { grant_type: 'client_credentials', ...proof })
    t.equal(good.statusCode, 200, good.body)
  },
)

t.test(
  'a node that has not met the client yet still says whose fault it is: the token’s (RFC 6749 §5.2)',
  async (t) => {
    const fresh = await testServer()
    t.teardown(() => fresh.close())
    await seed(fresh.store)
    // invalid_client would tell an app that it is set up wrongly, instead of letting the user sign in again.
    const answer = await refresh(fresh, genuine)
    t.match([answer.statusCode, answer.json().error], [400, 'invalid_grant'])
  },
)

t.test('a genuine token of a session that is gone costs a look, not a write (§4 row 20)', async (t) => {
  const first = await signedIn(server)
  const sid = String(claimsOf(first.access_token).sid)
  await server.store.db.batch([{ sql: 'DELETE FROM client_sessions WHERE id = $1', params: [sid] }])
  const before = server.store.db.batch
  let writes = 0
  server.store.db.batch = (steps) => {
    writes += 1
    return before(steps)
  }
  t.teardown(() => Object.assign(server.store.db, { batch: before }))
  const answer = await refresh(server, first.refresh_token)
  t.match([answer.statusCode, answer.json().error], [400, 'invalid_grant'])
  t.equal(writes, 0)
})
