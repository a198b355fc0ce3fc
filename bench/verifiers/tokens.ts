/** A thousand valid tokens with the claims that Keyturn issues, and an issuer that needs no network. */
import { createHash } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import { CompactSign, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'

export const ISSUER = 'https://auth.example'
export const AUDIENCE = 'https://orders.example'
const COUNT = 1000

export interface Tokens {
  readonly jwk: JWK & { readonly kid: string }
  readonly tokens: readonly string[]
  /** The same tokens, bound to a key (RFC 9449), each with a proof for `GET` at `AUDIENCE`. */
  readonly bound: readonly { readonly token: string; readonly proof: string }[]
  readonly listUri: string
  /** A signed status list without revoked tokens. */
  readonly list: string
}

export async function createTokens(): Promise<Tokens> {
  const alg = 'RS256'
  const { publicKey, privateKey } = await generateKeyPair(alg, { modulusLength: 2048 })
  const kid = 'k'.repeat(43)
  const listUri = `${ISSUER}/status-lists/0`
  const now = Math.floor(Date.now() / 1000)
  const sign = (typ: string, claims: object) =>
    new CompactSign(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg, typ, kid })
      .sign(privateKey)
  const tokenOf = (i: number, more: object = {}) =>
    sign('at+jwt', {
      ...more,
      iss: ISSUER,
      sub: `u_${String(i).padStart(27, 'x')}`,
      aud: AUDIENCE,
      client_id: 'web',
      iat: now,
      exp: now + 86_400,
      jti: `t_${String(i).padStart(20, 'x')}`,
      scope: 'orders:read orders:write',
      roles: ['clerk'],
      auth_time: now,
      sid: `s_${String(i).padStart(20, 'x')}`,
      status: { status_list: { idx: i * 1000, uri: listUri } },
    })
  const indices = Array.from({ length: COUNT }, (_, i) => i)
  const client = await generateKeyPair('ES256')
  const clientJwk = await exportJWK(client.publicKey)
  const cnf = { jkt: await calculateJwkThumbprint(clientJwk) }
  const bound = indices.map(async (i) => {
    const token = await tokenOf(i, { cnf })
    const ath = createHash('sha256').update(token).digest('base64url')
    const proof = await new SignJWT({ jti: `p_${i}`, htm: 'GET', htu: AUDIENCE, iat: now, ath })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: clientJwk })
      .sign(client.privateKey)
    return { token, proof }
  })
  const lst = deflateSync(Buffer.alloc(131_072)).toString('base64url')
  return {
    jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' },
    tokens: await Promise.all(indices.map((i) => tokenOf(i))),
    bound: await Promise.all(bound),
    listUri,
    list: await sign('statuslist+jwt', { sub: listUri, iat: now, ttl: 3600, status_list: { bits: 1, lst } }),
  }
}

/** A fetch function that answers like the issuer. */
export function issuerFetch({ jwk, list }: Tokens): typeof fetch {
  return async (url) => {
    const { pathname } = new URL(String(url))
    if (pathname === '/jwks') return Response.json({ keys: [jwk] })
    if (pathname.startsWith('/status-lists/')) return new Response(list)
    return Response.json({ issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` })
  }
}
