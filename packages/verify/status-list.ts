/** One status list (Token Status List §4): reads a verified list token, and looks up an entry. */
import { promisify } from 'node:util'
import { inflate } from 'node:zlib'

export interface StatusList {
  /** How many bits an entry has: 1, 2, 4 or 8. */
  readonly bits: number
  readonly bytes: Uint8Array
  /** Seconds until the issuer may have published a newer list. */
  readonly ttl: number | undefined
  /** The list must not be relied upon from this time on, in seconds since 1970 (§13.7). */
  readonly exp: number | undefined
}

const SIZES: readonly unknown[] = [1, 2, 4, 8]
const inflateAsync = promisify(inflate)

/**
 * Reads the claims of a list token whose signature has been verified. At most `maxBytes` are decompressed.
 * @throws {Error} if the list is malformed, too large, or not the list at `uri`
 */
export async function readStatusList(
  { sub, iat, exp, ttl, status_list: list }: Record<string, unknown>,
  uri: string,
  maxBytes: number,
): Promise<StatusList> {
  // §8.3: otherwise an attacker could answer with another list of the issuer.
  if (sub !== uri) throw new Error('the status list has another address')
  const { bits, lst } = (list ?? {}) as { bits?: unknown; lst?: unknown }
  if (!SIZES.includes(bits) || typeof lst !== 'string' || typeof iat !== 'number') {
    throw new Error('the status list is malformed')
  }
  return {
    bits: bits as number,
    bytes: await inflateAsync(Buffer.from(lst, 'base64url'), { maxOutputLength: Math.max(1, maxBytes) }),
    ttl: typeof ttl === 'number' && ttl > 0 ? ttl : undefined,
    exp: exp as number | undefined,
  }
}

/** Returns the value of an entry; undefined if the list has no such entry. §4.1: the least significant bits come first. */
export function statusAt({ bits, bytes }: StatusList, index: number): number | undefined {
  const bit = index * bits
  const byte = bytes[Math.floor(bit / 8)]
  return byte === undefined ? undefined : (byte >> (bit % 8)) & (2 ** bits - 1)
}
