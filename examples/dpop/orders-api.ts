/** An API that accepts only tokens that are bound to a key of their client (RFC 9449): a stolen token is of no use. */
import Fastify from 'fastify'
// In a project of your own: from '@keyturn/verify' and '@keyturn/verify/fastify'.
import { keyturnFastify } from '../../packages/verify/fastify-typed.ts'
import { createVerifier } from '../../packages/verify/index.ts'

const { ISSUER = 'http://localhost:3000', AUDIENCE = 'https://orders.example', PORT = '4000' } = process.env
/** The URL that clients use. A proof is for one URL, and the header Host must not decide which one that is. */
const { BASE_URL } = process.env

const verifier = createVerifier({
  issuer: ISSUER,
  audience: AUDIENCE,
  requireBound: true,
  // Without it, the verifier accepts the origin of AUDIENCE, and loopback addresses for programs on this machine.
  ...(BASE_URL === undefined ? {} : { baseUrl: BASE_URL }),
  // Proofs must contain a nonce of this service. Several processes of it would need the same secret.
  dpop: { nonces: { secret: crypto.getRandomValues(new Uint8Array(32)) } },
})
// The service starts without the issuer. Until the issuer has answered once, requests get 503.
await verifier.ready().catch(() => console.error(`${ISSUER} does not answer yet`))

const orders = [{ id: '1', item: 'a lamp' }]
const app = Fastify({ logger: { level: 'warn' } })
await app.register(keyturnFastify, { verifier })
app.get('/orders', { onRequest: app.requireScope('orders:read') }, async () => orders)

console.log(`orders on ${await app.listen({ port: Number(PORT) })}`)
