/** Signs in JWS compact serialization (RFC 7515 §7.1) with a key of the ring. */
import { LRUCache } from 'lru-cache'
import type { AlgorithmName, Sign } from './algorithms.ts'

export interface SigningKey {
  readonly kid: string
  readonly alg: AlgorithmName
  readonly sign: Sign
}

/** @param typ media type of the payload, without `application/` (RFC 8725 §3.11) */
export async function signCompact(
  { kid, alg, sign }: SigningKey,
  typ: string,
  payload: string,
): Promise<string> {
  const input = `${protectedHeader(alg, typ, kid)}.${base64url(payload)}`
  const signature = await sign(Buffer.from(input, 'latin1'))
  return `${input}.${signature.toString('base64url')}`
}

/** A node needs only a few different headers in each lane, so their encodings are cached. */
const encoded = new LRUCache<string, string>({ max: 64 })

function protectedHeader(alg: string, typ: string, kid: string): string {
  const name = `${alg} ${typ} ${kid}`
  let header = encoded.get(name)
  if (header === undefined) {
    header = base64url(JSON.stringify({ alg, typ, kid }))
    encoded.set(name, header)
  }
  return header
}

const base64url = (text: string): string => Buffer.from(text).toString('base64url')
