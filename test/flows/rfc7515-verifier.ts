/**
 * A verifier of access tokens written from RFC 7515 §5.2, RFC 7519 §7.2 and RFC 9068 §4 alone, on node:crypto, as a
 * developer without a library would. It shares no code with the server or jose.
 */
import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'

interface Expected {
  readonly issuer: string
  readonly audience: string
  /** Seconds since 1970. */
  readonly now: number
}

export interface Jwks {
  readonly keys: readonly (JsonWebKey & { kid?: string; alg?: string; use?: string })[]
}

/** Returns the claims; throws an error that names the broken rule. */
export function verifyAccessToken(
  token: string,
  jwks: Jwks,
  { issuer, audience, now }: Expected,
): Record<string, unknown> {
  const parts = token.split('.')
  const [protectedHeader, payload, signature] = parts
  if (parts.length !== 3 || !protectedHeader || !payload || !signature) throw new Error('not three parts')

  const header = parse(protectedHeader)
  if (header.alg !== 'RS256') throw new Error('alg')
  if (header.crit !== undefined) throw new Error('crit')
  if (header.typ !== 'at+jwt' && header.typ !== 'application/at+jwt') throw new Error('typ')

  const keys = jwks.keys.filter(({ kid, kty }) => kid === header.kid && kty === 'RSA')
  const [key] = keys
  if (!key || keys.length > 1) throw new Error('kid')
  if (key.alg !== undefined && key.alg !== header.alg) throw new Error('alg of the key')
  if (key.use !== undefined && key.use !== 'sig') throw new Error('use of the key')
  const publicKey = createPublicKey({ key, format: 'jwk' })
  const input = Buffer.from(`${protectedHeader}.${payload}`, 'ascii')
  if (!verify('sha256', input, publicKey, decode(signature))) throw new Error('signature')

  const claims = parse(payload)
  if (claims.iss !== issuer) throw new Error('iss')
  if (![claims.aud].flat().includes(audience)) throw new Error('aud')
  if (typeof claims.exp !== 'number' || now >= claims.exp) throw new Error('exp')
  for (const name of ['sub', 'client_id', 'jti'] as const) {
    if (typeof claims[name] !== 'string') throw new Error(name)
  }
  if (typeof claims.iat !== 'number') throw new Error('iat')
  return claims
}

/** RFC 7515 §2: no padding, white space or other characters. */
function decode(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.toString('base64url') !== text) throw new Error('base64url')
  return bytes
}

function parse(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(decode(text)))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not an object')
  return value as Record<string, unknown>
}
