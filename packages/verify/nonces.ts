/** Nonces that this service puts into `DPoP-Nonce` and wants back in proofs (RFC 9449 §9), so that no proof is made in advance. */
import { createHmac } from 'node:crypto'

/** Where nonces come from, if they are not derived from a secret. */
export interface NonceSource {
  /** The nonce that clients should use now. */
  current(): string | Promise<string>
  /** Whether a nonce was recently given out. */
  accepts(nonce: string): boolean | Promise<boolean>
}

export interface NonceSecret {
  /** At least 32 bytes, the same in all processes of the service and in no other service. */
  readonly secret: string | Uint8Array
  /** After this many seconds there is a new nonce; the one before it is accepted as long again. Default: 120. */
  readonly lifetime?: number
}

/** Separates these MACs from others that a service may make with its secret. */
const PURPOSE = 'DPoP-Nonce'
const MAC_BYTES = 16
/** The number of the period fits into this until the year 10000. */
const PERIOD_BYTES = 5

/**
 * Nonces that need no memory: the number of a period and its MAC. Without the secret no one can compute a nonce, and every process accepts
 * those of the others.
 */
export function createNonces({ secret, lifetime = 120 }: NonceSecret, clock: () => number): NonceSource {
  const made = new Map<number, string>()

  function nonceOf(period: number): string {
    const known = made.get(period)
    if (known !== undefined) return known
    const number = Buffer.alloc(PERIOD_BYTES)
    number.writeUIntBE(period, 0, PERIOD_BYTES)
    const mac = createHmac('sha256', secret).update(PURPOSE).update(number).digest().subarray(0, MAC_BYTES)
    const nonce = Buffer.concat([number, mac]).toString('base64url')
    // Two periods are in use; a third is there while the clock passes from one to the next.
    if (made.size > 2) made.clear()
    made.set(period, nonce)
    return nonce
  }

  const currentPeriod = () => Math.floor(clock() / lifetime)
  return {
    current: () => nonceOf(currentPeriod()),
    // The clock of another process may already be in the next period. Nonces are published, so comparing them leaks nothing.
    accepts: (nonce) => [0, -1, 1].some((offset) => nonceOf(currentPeriod() + offset) === nonce),
  }
}
