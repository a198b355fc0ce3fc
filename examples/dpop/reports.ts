/** A service that calls another one with a token of its own, which is bound to a key that never leaves this process (RFC 9449). */
import Fastify from 'fastify'
import * as client from 'openid-client'

const { ISSUER = 'http://localhost:3000', ORDERS_API = 'http://localhost:4000', PORT = '4003' } = process.env
const { CLIENT_ID = '', CLIENT_SECRET = '' } = process.env
if (CLIENT_ID === '' || CLIENT_SECRET === '') {
  console.error(
    'CLIENT_ID and CLIENT_SECRET are required: node --env-file=reports.env reports.ts (see README.md)',
  )
  process.exit(2)
}

// An issuer on plain http is only for development.
const insecure = ISSUER.startsWith('http:') ? { execute: [client.allowInsecureRequests] } : {}
const issuer = await client.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, insecure)
// The private key cannot be exported. A token that is bound to it is worth nothing after this process has ended.
const keys = await client.randomDPoPKeyPair('ES256')
const DPoP = client.getDPoPHandle(issuer, keys)

let current: { readonly token: string; readonly renewAt: number } | undefined

/** A token is used until shortly before it expires. */
async function accessToken(): Promise<string> {
  if (current && Date.now() < current.renewAt) return current.token
  const { access_token: token, expires_in: seconds = 0 } = await client.clientCredentialsGrant(
    issuer,
    { scope: 'orders:read' },
    { DPoP },
  )
  current = { token, renewAt: Date.now() + seconds * 900 }
  return token
}

const app = Fastify({ logger: { level: 'warn' } })
app.get('/report', async () => {
  const url = new URL('/orders', ORDERS_API)
  // Makes a proof for this request, and repeats the request with a nonce if the API asks for one.
  const response = await client.fetchProtectedResource(
    issuer,
    await accessToken(),
    url,
    'GET',
    null,
    undefined,
    {
      DPoP,
    },
  )
  const orders = (await response.json()) as unknown[]
  return { orders: orders.length }
})

console.log(`reports on ${await app.listen({ port: Number(PORT) })}`)
