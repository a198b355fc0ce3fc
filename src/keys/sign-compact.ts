/** JWS compact serialization (RFC 7515 §7.1) under one of our keys. */
import type { AlgorithmName, Sign } from './algorithms.ts'

export interface SigningKey {
  readonly kid: string
  readonly alg: AlgorithmName
  readonly sign: Sign
}

/** @param typ media type of what is signed, without `application/` (RFC 8725 §3.11) */
export async function signCompact(
  { kid, alg, sign }: SigningKey,
  typ: string,
  payload: string,
): Promise<string> {
  const input = `${protectedHeader(alg, typ, kid)}.${base64url(payload)}`
  const signature = await sign(Buffer.from(input, 'latin1'))
  return `${input}.${signature.toString('base64url')}`
}

/** One kind of token follows the other under one key: what was encoded for the last is nearly always what is needed. */
const encoded = new Map<string, string>()
const MOST_ENCODED = 16

function protectedHeader(alg: string, typ: string, kid: string): string {
  const name = `${alg} ${typ} ${kid}`
  let header = encoded.get(name)
  if (header === undefined) {
    if (encoded.size === MOST_ENCODED) encoded.clear()
    header = base64url(JSON.stringify({ alg, typ, kid }))
    encoded.set(name, header)
  }
  return header
}

const base64url = (text: string): string => Buffer.from(text).toString('base64url')
