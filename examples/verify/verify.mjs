// npm install jose
import { createRemoteJWKSet, jwtVerify } from 'jose'

const issuer = process.env.ISSUER ?? 'http://localhost:3000'
const audience = process.env.AUDIENCE ?? 'https://orders.example'
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`))

export async function verify(token) {
  const { payload } = await jwtVerify(token, keys, {
    typ: 'at+jwt',
    algorithms: ['RS256'],
    issuer,
    audience,
    requiredClaims: ['exp', 'sub', 'client_id'],
  })
  return payload
}

console.log(await verify(process.argv[2]))
