/**
 * One authorization request on its way through the pages. It is not stored: the browser carries it, sealed, from page
 * to page, so whoever sends requests without end fills nothing, a restart loses nothing, and each tab has its own. It
 * opens only in the browser it was made for. Must not know what is in the request.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Sealer } from '../../keys/encryption.ts'
import type { Clock, EpochSeconds } from '../../system.ts'
import { FLOW_CLOCK_SKEW, FLOW_TTL } from '../lifetimes.ts'
import type { Pair } from '../parameters.ts'

export interface Flow {
  readonly arrivedAt: EpochSeconds
  /** What is asked, or where it was pushed to; without either it leads to the account page. */
  readonly request?: readonly Pair[]
  readonly pushed?: { readonly clientId: string; readonly hash: string }
  /** A request to sign out. Never in `request`, where it would pass for one that needs no push and no signature. */
  readonly logout?: readonly Pair[]
  /** Below the issuer, where it leads without a request. Only ever set by our own pages. */
  readonly returnTo?: string
  /** The password was right, the second factor is to come. */
  readonly pending?: PendingLogin
  /** Id and time of the sign-in by which somebody has proven who they are since the request arrived. */
  readonly proven?: { readonly signInId: string; readonly authTime: EpochSeconds }
}

export interface PendingLogin {
  readonly userId: string
  readonly at: EpochSeconds
  /** Of the password hash: a password that is changed meanwhile ends the login. */
  readonly fingerprint: string
}

/** Who needs more pushes the request (RFC 9126). */
const LONGEST_REQUEST = 8192
/** Sealed, with cookies and the rest of a header within the 16 KiB that this server reads, and most proxies. */
const LONGEST_TEXT = 12_000

export interface FlowCodec {
  /** @param browser what the browser's cookie says; undefined if the request is too long to be carried */
  seal(flow: Flow, browser: string): string | undefined
  /** null if it was not made here, or for another browser, or is over. */
  open(text: string, browser: string): Flow | null
}

export function createFlowCodec({ sealer, clock }: { sealer: Sealer; clock: Clock }): FlowCodec {
  return {
    seal(flow, browser) {
      const json = JSON.stringify(flow)
      if (json.length > LONGEST_REQUEST) return undefined
      const text = sealer.seal(browser, deflateRawSync(json).toString('base64'))
      return text.length > LONGEST_TEXT ? undefined : text
    },

    open(text, browser) {
      if (text.length > LONGEST_TEXT) return null
      try {
        const flow = JSON.parse(
          inflateRawSync(Buffer.from(sealer.open(browser, text), 'base64'), {
            maxOutputLength: 4 * LONGEST_REQUEST,
          }).toString(),
        ) as Flow
        const age = clock.now() - flow.arrivedAt
        return age <= FLOW_TTL && age >= -FLOW_CLOCK_SKEW ? flow : null
      } catch {
        return null
      }
    },
  }
}
