import { UnsecuredJWT } from 'jose'
import t from 'tap'
import { openLiveRing } from '../../src/keys/live-ring.ts'
import { ensureRing, maintainRing, revokeKey, rotateRing } from '../../src/keys/rotate.ts'
import { signCompact } from '../../src/keys/sign-compact.ts'
import { createSigner, type Signer } from '../../src/keys/signer.ts'
import { testClock } from '../support/server/clock.ts'
import { base64url, clientKey, compact } from '../support/server/jws.ts'
import { DAY, openStore, QUICK, ringDeps } from '../support/server/keys.ts'
import { ISSUER } from '../support/server/server.ts'

const clock = testClock(1_700_000_000)
const CLAIMS = { iss: ISSUER, sub: 'u_1', aud: 'web', sid: 's_1', iat: clock.now(), exp: clock.now() + 60 }

async function world() {
  const store = await openStore()
  t.teardown(() => store.db.close())
  const deps = ringDeps(store, clock)
  const ring = await openLiveRing({ ...deps, store }, await ensureRing(deps, QUICK))
  return { deps, ring, store, signer: createSigner(ring, ISSUER) }
}

const { ring, signer } = await world()
const token = await signer.sign('JWT', CLAIMS)
const [head = '', body = '', signature = ''] = token.split('.')

async function sub(text: string, by: Signer = signer): Promise<unknown> {
  return (await by.verifyHint(text))?.sub ?? null
}

t.test(
  'an ID token issued here is a valid id_token_hint, expired or not (OpenID Connect Core §3.1.2.2; docs/security.md M138, N146)',
  async (t) => {
    t.same(await signer.verifyHint(token), CLAIMS)
    const expired = await signer.sign('JWT', {
      ...CLAIMS,
      iat: CLAIMS.iat - 9 * DAY,
      exp: CLAIMS.iat - 8 * DAY,
    })
    t.equal(await sub(expired), 'u_1')
    t.equal(await sub(await signer.sign('JWT', { ...CLAIMS, aud: ['web'] as never })), 'u_1', 'a list of one')
  },
)

t.test(
  'a token of another issuer is not a valid hint, whatever its claims (OpenID Connect Core §3.1.2.2, RP-Initiated Logout §3; docs/security.md M138, N147)',
  async (t) => {
    const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString())
    const [active] = ring.ring().keys.filter((key) => key.state === 'active')
    const stranger = clientKey('ES256', kid)
    const sign = (header: object, payload: unknown = CLAIMS) =>
      compact({ alg: 'ES256', kid, typ: 'JWT', ...header }, payload, stranger.privateKey, 'ES256')
    const jwk = JSON.stringify(active?.publicJwk)
    for (const [label, text] of Object.entries({
      'alg none': new UnsecuredJWT(CLAIMS).encode(),
      'alg none under our kid': `${base64url(JSON.stringify({ alg: 'none', kid, typ: 'JWT' }))}.${body}.`,
      'alg none with our signature': `${base64url(JSON.stringify({ alg: 'none', kid, typ: 'JWT' }))}.${body}.${signature}`,
      'a foreign key under our kid': sign({}),
      'a foreign key': sign({ kid: 'other' }),
      'a foreign key without kid': sign({ kid: undefined }),
      'an embedded key': sign({ jwk: stranger.jwk }),
      'HS256 with the public key': compact({ alg: 'HS256', kid, typ: 'JWT' }, CLAIMS, jwk),
      'our signature under another alg': `${base64url(JSON.stringify({ alg: 'RS256', kid, typ: 'JWT' }))}.${body}.${signature}`,
      'another user': `${head}.${base64url(JSON.stringify({ ...CLAIMS, sub: 'u_2' }))}.${signature}`,
      'without signature': `${head}.${body}.`,
      'one letter changed': `${head}.${body.slice(0, -1)}${body.endsWith('A') ? 'B' : 'A'}.${signature}`,
      nothing: '',
      dots: '...',
      'too long': `${token}${'A'.repeat(8192)}`,
    })) {
      t.equal(await sub(text), null, label)
    }
  },
)

t.test(
  'other token types, and tokens for another issuer, are not valid hints (RFC 8725 §3.11)',
  async (t) => {
    for (const typ of ['at+jwt', 'logout+jwt', 'statuslist+jwt', 'jwt', 'JWT ', '']) {
      t.equal(await sub(await signer.sign(typ, CLAIMS)), null, `typ ${typ}`)
    }
    for (const claims of [
      { iss: 'https://other.test' },
      { iss: `${ISSUER}/` },
      { sub: undefined as unknown as string },
      { aud: undefined as unknown as string },
      { iat: undefined as unknown as number },
    ]) {
      t.equal(await sub(await signer.sign('JWT', { ...CLAIMS, ...claims })), null, JSON.stringify(claims))
    }
    const key = await ring.signingKey(CLAIMS.exp)
    for (const text of ['[]', 'null', '1', '"x"', 'x', '']) {
      t.equal(await sub(await signCompact(key, 'JWT', text)), null, `payload ${text}`)
    }
  },
)

t.test(
  'tokens of a retired key remain valid hints, and those of a revoked key do not (RP-Initiated Logout §2)',
  async (t) => {
    const { deps, ring, signer } = await world()
    const state = (kid: string) => ring.ring().keys.find((key) => key.kid === kid)?.state
    const kidOf = (text: string) =>
      JSON.parse(Buffer.from(text.split('.')[0] ?? '', 'base64url').toString()).kid
    const old = await signer.sign('JWT', CLAIMS)
    await rotateRing(deps, { actor: 'test', force: true })
    await ring.sync()
    t.equal(state(kidOf(old)), 'retiring')
    t.equal(await sub(old, signer), 'u_1')
    clock.tick(DAY)
    while (await maintainRing(deps, ring.ring())) await ring.sync()
    t.equal(state(kidOf(old)), 'retired')
    t.equal(await sub(old, signer), 'u_1')

    const newer = await signer.sign('JWT', { ...CLAIMS, exp: clock.now() + 60 })
    t.equal(await sub(newer, signer), 'u_1')
    await revokeKey(deps, kidOf(newer), { actor: 'test' })
    await ring.sync()
    t.equal(state(kidOf(newer)), 'revoked')
    t.equal(await sub(newer, signer), null)
  },
)
