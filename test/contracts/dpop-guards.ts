/** What every guard of @keyturn/verify must do with tokens that are bound to a key, for every framework (RFC 9449 §7). */
import type { Test } from 'tap'
import { proof as proofOf, thumbprintOf, wrongProofs, wrongTokenHashes } from '../support/dpop/proofs.ts'
import { AUDIENCE, fakeIssuer } from '../support/issuers/fake-issuer.ts'
import { clientKey } from '../support/server/jws.ts'
import type { GuardAnswer, GuardedApp } from './bearer-guards.ts'

const REALM = `realm="${AUDIENCE}"`
const ALGS = 'algs="ES256 EdDSA Ed25519 PS256 ES384 ES512 PS384 PS512"'
const BOTH = `Bearer ${REALM}, DPoP ${REALM}, ${ALGS}`

export async function dpopGuards(t: Test, app: GuardedApp): Promise<void> {
  const issuer = await fakeIssuer(t)
  const client = clientKey()
  const jkt = thumbprintOf(client)
  const call = await app(t, issuer.verifier())
  const bound = await issuer.token({ cnf: { jkt } })
  const now = () => issuer.time.now()
  const request = (url: string, accessToken = bound) => ({
    key: client,
    method: 'GET',
    url,
    accessToken,
    now: now(),
  })
  const proof = (path: string, claims = {}, token = bound) =>
    proofOf(request(AUDIENCE + path, token), { claims })
  const dpop = (path: string, text = proof(path), token = bound) => [
    'Authorization',
    `DPoP ${token}`,
    'DPoP',
    text,
  ]
  const refused = (t: Test, answer: GuardAnswer, status: number, challenge: string | undefined) => {
    t.equal(answer.status, status)
    t.equal(answer.headers['www-authenticate'], challenge)
    t.equal(answer.headers['cache-control'], 'no-store')
  }
  const challenge = (error: string, reason: string, more = '') =>
    `DPoP ${REALM}, error="${error}", error_description="${reason}"${more}, ${ALGS}`
  const invalidProof = (reason: string) => challenge('invalid_dpop_proof', reason)

  await t.test(
    'a bound token with its proof passes, and the handler sees its claims (RFC 9449 §7.1)',
    async (t) => {
      for (const path of ['/any', '/read']) {
        const { status, body } = await call(path, dpop(path))
        t.same([status, body], [200, { sub: 'user-1' }], path)
      }
      const query = await call('/any?page=2', dpop('/any'))
      t.equal(query.status, 200, 'a proof does not cover the query')
      for (const scheme of ['dpop', 'DPOP', 'dPoP ']) {
        const headers = ['authorization', `${scheme} ${bound}`, 'dpop', proof('/any')]
        t.equal((await call('/any', headers)).status, 200, scheme)
      }
    },
  )

  await t.test(
    'a bound token that comes as a bearer token is refused, with or without a proof (RFC 9449 §7.2; docs/security.md L133)',
    async (t) => {
      const reason = 'the token is bound to a key and needs a DPoP proof'
      const expected = `Bearer ${REALM}, error="invalid_token", error_description="${reason}", DPoP ${REALM}, ${ALGS}`
      const bearer = ['Authorization', `Bearer ${bound}`]
      refused(t, await call('/read', bearer), 401, expected)
      refused(t, await call('/read', [...bearer, 'DPoP', proof('/read')]), 401, expected)
    },
  )

  await t.test('a request needs exactly one proof (§4.3)', async (t) => {
    const token = ['Authorization', `DPoP ${bound}`]
    refused(t, await call('/any', token), 401, invalidProof('the request has no DPoP proof'))
    refused(t, await call('/any', [...token, 'DPoP', '']), 401, invalidProof('the request has no DPoP proof'))
    const repeated = invalidProof('the DPoP header is repeated')
    for (const second of [proof('/any'), 'x']) {
      const headers = [...token, 'DPoP', proof('/any'), 'x-between', '1', 'DPOP', second]
      refused(t, await call('/any', headers), 401, repeated)
    }
  })

  await t.test(
    'a wrong proof gets invalid_dpop_proof, and one of another key invalid_token (§7.1)',
    async (t) => {
      const used = proof('/any')
      t.equal((await call('/any', dpop('/any', used))).status, 200)
      const cases: [proof: string, reason: string][] = [
        [used, 'the DPoP proof was used before'],
        [proof('/any', { htm: 'POST' }), 'the DPoP proof is for another method'],
        [proof('/any', {}, 'x'), 'the DPoP proof is for another access token'],
        [proof('/any', { iat: now() - 91 }), 'the DPoP proof is too old (iat)'],
        ['x', 'the DPoP proof does not have three parts'],
        [bound, 'the DPoP proof has another type'],
      ]
      for (const [text, reason] of cases)
        refused(t, await call('/any', dpop('/any', text)), 401, invalidProof(reason))
      const other = await call('/any', dpop('/any', proof('/read')))
      t.equal(other.status, 401)
      const named = `error_description="the DPoP proof is for another URL than ${AUDIENCE}/any`
      t.ok(other.headers['www-authenticate']?.includes(named), 'the right URL is named')
      const stolen = proofOf({ ...request(`${AUDIENCE}/any`), key: clientKey() })
      const reason = 'the DPoP proof is of a key that the token is not bound to'
      refused(t, await call('/any', dpop('/any', stolen)), 401, challenge('invalid_token', reason))
    },
  )

  await t.test('every proof of the shared table that is wrong in one way is refused (§4.3)', async (t) => {
    for (const [name, { fields }] of Object.entries({ ...wrongProofs, ...wrongTokenHashes })) {
      const texts = fields(request(`${AUDIENCE}/any`))
      const headers = ['Authorization', `DPoP ${bound}`, ...texts.flatMap((text) => ['DPoP', text])]
      const answer = await call('/any', headers)
      t.equal(answer.status, 401, name)
      t.match(answer.headers['www-authenticate'], /^DPoP .*error="invalid_(?:dpop_proof|token)".*algs="/)
    }
  })

  await t.test(
    'errors of the token are answered with the scheme that the request has used (§7.2)',
    async (t) => {
      const bare = await issuer.token()
      const notBound = challenge('invalid_token', 'the token is not bound to the key of a DPoP proof')
      refused(t, await call('/any', dpop('/any', proof('/any', {}, bare), bare)), 401, notBound)
      const expired = await issuer.token({ cnf: { jkt }, exp: now() - 60 })
      const answer = await call('/any', dpop('/any', proof('/any', {}, expired), expired))
      refused(t, answer, 401, challenge('invalid_token', 'the token has expired'))
      const scope = challenge(
        'insufficient_scope',
        'the scope orders:admin is required',
        ', scope="orders:read orders:admin"',
      )
      refused(t, await call('/both', dpop('/both')), 403, scope)
      const empty = challenge('invalid_request', 'the Authorization header has no token')
      refused(t, await call('/any', ['Authorization', 'DPoP']), 400, empty)
    },
  )

  await t.test(
    'a service that uses DPoP names both schemes to a request without a token (§7.2)',
    async (t) => {
      for (const options of [{ dpop: {} }, { requireBound: true }]) {
        const announcing = await app(t, issuer.verifier(options))
        refused(t, await announcing('/any', []), 401, BOTH)
        refused(t, await announcing('/read', ['Authorization', 'Basic eDp5']), 401, BOTH)
        const error = `Bearer ${REALM}, error="invalid_token", error_description="the signature is invalid"`
        const bad = `${bound.slice(0, -8)}AAAAAAAA`
        refused(
          t,
          await announcing('/any', ['Authorization', `Bearer ${bad}`]),
          401,
          `${error}, DPoP ${REALM}, ${ALGS}`,
        )
      }
      const strict = await app(t, issuer.verifier({ requireBound: true }))
      const { status } = await strict('/any', ['Authorization', `Bearer ${await issuer.token()}`])
      t.equal(status, 401)
      t.equal((await strict('/any', dpop('/any'))).status, 200)
    },
  )

  await t.test(
    'a nonce is given in DPoP-Nonce, first with an error and later before it is too old (§8.2, §9)',
    async (t) => {
      const nonces = { secret: 'a secret that all processes share' }
      const withNonces = await app(t, issuer.verifier({ dpop: { nonces } }))
      const first = await withNonces('/any', dpop('/any'))
      refused(t, first, 401, challenge('use_dpop_nonce', 'the DPoP proof needs a nonce'))
      const nonce = first.headers['dpop-nonce']
      const next = async (nonce: string | undefined) =>
        withNonces('/any', dpop('/any', proof('/any', { nonce })))
      const accepted = await next(nonce)
      t.same([accepted.status, accepted.headers['dpop-nonce']], [200, undefined])
      issuer.time.tick(120)
      const renewed = await next(nonce)
      t.equal(renewed.status, 200)
      t.match(renewed.headers['dpop-nonce'], /^[\w-]+$/)
      t.not(renewed.headers['dpop-nonce'], nonce)
      t.equal((await next(renewed.headers['dpop-nonce'])).status, 200)
      issuer.time.tick(120)
      const late = await next(nonce)
      refused(t, late, 401, challenge('use_dpop_nonce', 'the DPoP proof needs a newer nonce'))
      issuer.time.tick(-240)
    },
  )

  await t.test('if it is not known whether a proof was used before, the response is a 503', async (t) => {
    const claim = () => Promise.reject(new Error('down'))
    const answer = await (await app(t, issuer.verifier({ dpop: { claim } })))('/any', dpop('/any'))
    refused(t, answer, 503, undefined)
    t.equal(answer.headers['retry-after'], '1')
    t.match(answer.body, { error: 'temporarily_unavailable' })
  })

  await t.test(
    'the address of the service can be configured, with a path that a proxy removes',
    async (t) => {
      const behind = await app(t, issuer.verifier({ baseUrl: 'https://api.example/orders/' }))
      const at = (url: string) => proofOf(request(url))
      t.equal((await behind('/any', dpop('/any', at('https://api.example/orders/any')))).status, 200)
      t.equal((await behind('/any', dpop('/any', at('https://api.example/any')))).status, 401)
      t.equal((await behind('/any', dpop('/any'))).status, 401, 'the audience is not an address any more')
    },
  )
}
