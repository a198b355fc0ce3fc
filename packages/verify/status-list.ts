/** One status list as it is published (Token Status List §4): from a signed token to the value of an entry. */
import { promisify } from 'node:util'
import { inflate } from 'node:zlib'

export interface StatusList {
  /** Of each entry: 1, 2, 4 or 8. */
  readonly bits: number
  readonly bytes: Uint8Array
  /** Seconds until a newer one may be there. */
  readonly ttl: number | undefined
  /** From then on it must not be relied upon (§13.7). */
  readonly exp: number | undefined
}

const SIZES: readonly unknown[] = [1, 2, 4, 8]
const inflated = promisify(inflate)

/** What it expands to beyond `maxBytes` is never allocated. @throws {Error} if it is malformed or too large */
export async function readStatusList(
  { sub, iat, exp, ttl, status_list: list }: Record<string, unknown>,
  uri: string,
  maxBytes: number,
): Promise<StatusList> {
  // §8.3: or the list of one token could be shown for another.
  if (sub !== uri) throw new Error('the status list is another one')
  const { bits, lst } = (list ?? {}) as { bits?: unknown; lst?: unknown }
  if (!SIZES.includes(bits) || typeof lst !== 'string' || typeof iat !== 'number') {
    throw new Error('the status list is malformed')
  }
  return {
    bits: bits as number,
    bytes: await inflated(Buffer.from(lst, 'base64url'), { maxOutputLength: Math.max(1, maxBytes) }),
    ttl: typeof ttl === 'number' && ttl > 0 ? ttl : undefined,
    exp: exp as number | undefined,
  }
}

/** §4.1: entries fill each byte from its least significant bit. Undefined if there is no such entry. */
export function statusAt({ bits, bytes }: StatusList, index: number): number | undefined {
  const bit = index * bits
  const byte = bytes[Math.floor(bit / 8)]
  return byte === undefined ? undefined : (byte >> (bit % 8)) & (2 ** bits - 1)
}
