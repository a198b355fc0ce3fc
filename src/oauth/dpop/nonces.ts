/**
 * Nonces that clients put into their DPoP proofs (RFC 9449 §8, §9). A nonce is the number of a period and a MAC, so nothing is stored, and
 * every node accepts the nonces of all nodes. Must not know proofs.
 */
import type { Macs } from '../../keys/macs.ts'
import type { Clock } from '../../system.ts'
import { DPOP_NONCE_PERIOD } from '../lifetimes.ts'

export interface DpopNonces {
  /** The nonce for the next proof. */
  current(): string
  /** Whether this server supplied the nonce lately. */
  isRecent(nonce: string): boolean
}

const FORMAT = /^(\d{1,12})\.(v1\.\d{1,9}\.[\w-]{43})$/

export function createDpopNonces(macs: Macs, clock: Clock): DpopNonces {
  const period = () => Math.floor(clock.now() / DPOP_NONCE_PERIOD)
  return {
    current: () => `${period()}.${macs.create(String(period()))}`,

    isRecent(nonce) {
      const [, number = '', mac = ''] = FORMAT.exec(nonce) ?? []
      // The next period: the clock of the node that supplied it may be a moment ahead.
      return Math.abs(period() - Number(number)) <= 1 && macs.verify(number, mac)
    },
  }
}
