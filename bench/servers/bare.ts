/**
 * The lower bound: a Fastify route that only signs the same claims with jose. It ignores the body and the credentials, and writes
 * no log. Started by bench/run.ts.
 */
import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { API, CLIENT_ID, LIFETIME, type Ready, RSA_BITS, SCOPE } from '../subject.ts'

const [, , alg = 'RS256'] = process.argv
const { publicKey, privateKey } = await generateKeyPair(alg, { modulusLength: RSA_BITS })
const jwk = await exportJWK(publicKey)
const kid = await calculateJwkThumbprint(jwk)

const app = Fastify()
app.removeAllContentTypeParsers()
app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
  done(null, body),
)
app.get('/jwks', () => ({ keys: [{ ...jwk, kid, alg, use: 'sig' }] }))
app.post('/token', async () => {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: issuer,
    sub: CLIENT_ID,
    aud: API,
    client_id: CLIENT_ID,
    iat: now,
    exp: now + LIFETIME,
    jti: randomUUID(),
    scope: SCOPE,
  }
  const token = await new SignJWT(claims).setProtectedHeader({ alg, typ: 'at+jwt', kid }).sign(privateKey)
  return { access_token: token, token_type: 'Bearer', expires_in: LIFETIME, scope: SCOPE }
})

const issuer = await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.({
  issuer,
  tokenUrl: `${issuer}/token`,
  jwksUrl: `${issuer}/jwks`,
  secret: 'x'.repeat(54),
} satisfies Ready)
process.once('SIGTERM', () => process.exit())
