/**
 * Compact JWS written by hand from RFC 7515, so that tests can write what no library would: any header, any payload,
 * any key under any algorithm.
 */
import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import type { EpochSeconds } from '../../../src/system.ts'

export const base64url = (data: string | Uint8Array): string => Buffer.from(data).toString('base64url')

export interface ClientKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** As registered, with `kid`, `alg` and `use`. */
  readonly jwk: Record<string, unknown>
}

export function clientKey(
  alg: 'RS256' | 'PS256' | 'ES256' | 'EdDSA' = 'ES256',
  kid: string = randomUUID(),
  bits = 2048,
) {
  const { privateKey, publicKey } =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : alg === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('rsa', { modulusLength: bits })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' }
  return { kid, alg, privateKey, publicKey, jwk } satisfies ClientKey
}

/** The signature of RFC 7518 §3 for `alg`. */
function signature(alg: string, input: string, key: KeyObject | string | Uint8Array): Buffer {
  const data = Buffer.from(input)
  switch (alg) {
    case 'RS256':
      return sign('sha256', data, key as KeyObject)
    case 'PS256':
      return sign('sha256', data, { key: key as KeyObject, padding: 6, saltLength: 32 })
    case 'ES256':
      return sign('sha256', data, { key: key as KeyObject, dsaEncoding: 'ieee-p1363' })
    case 'EdDSA':
      return sign(null, data, key as KeyObject)
    case 'HS256':
      return createHmac('sha256', key as string)
        .update(data)
        .digest()
    default:
      return Buffer.alloc(0)
  }
}

/** `header.alg` selects the signature unless `as` overrides it. */
export function compact(
  header: Record<string, unknown>,
  payload: unknown,
  key: KeyObject | string | Uint8Array,
  as: string = String(header.alg),
): string {
  const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`
  return `${input}.${base64url(signature(as, input, key))}`
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

export interface AssertionOptions {
  readonly client: string
  readonly key: ClientKey
  readonly audience: string
  readonly now: EpochSeconds
  /** Claims to add or replace; undefined removes one. */
  readonly claims?: Record<string, unknown>
  readonly header?: Record<string, unknown>
}

/** A valid client assertion (RFC 7523 §3), changed by `claims` and `header`. */
export function assertion({
  client,
  key,
  audience,
  now,
  claims = {},
  header = {},
}: AssertionOptions): string {
  const payload = { iss: client, sub: client, aud: audience, jti: randomUUID(), iat: now, exp: now + 60 }
  return compact(
    { alg: key.alg, kid: key.kid, typ: 'JWT', ...header },
    { ...payload, ...claims },
    key.privateKey,
    key.alg,
  )
}

/** The parameters of RFC 7523 §2.2. */
export const asserting = (text: string): Record<string, string> => ({
  client_assertion_type: ASSERTION_TYPE,
  client_assertion: text,
})
