/**
 * An authorization request between two pages. It is not stored: the browser carries it, encrypted, from page to page. So a
 * flood of requests fills no table, a restart loses nothing, and each tab has its own flow. A flow is bound to one browser.
 * Must not know what the request contains.
 */
import type { Cipher } from '../../keys/encryption.ts'
import type { Clock, EpochSeconds } from '../../system.ts'
import { FLOW_CLOCK_SKEW, FLOW_TTL } from '../lifetimes.ts'
import { packJson, unpackJson } from '../packed-json.ts'
import type { Pair } from '../parameters.ts'

export interface Flow {
  readonly arrivedAt: EpochSeconds
  /**
   * The revision of the client when the authorization request arrived. Not the id alone, because after a client is deleted another
   * one can have its id.
   */
  readonly clientRevision?: number
  /** The parameters are from a request object whose signature was verified (RFC 9101). */
  readonly signed?: boolean
  /** The parameters, or a reference to the pushed ones. Without either, the flow leads to `returnTo`. */
  readonly request?: readonly Pair[]
  readonly pushed?: {
    readonly clientId: string
    readonly hash: string
    /**
     * Set if the parameters are in `request` and no row exists. Until this time, the store must remember that the request was
     * answered.
     */
    readonly carriedUntil?: EpochSeconds
  }
  /** A logout request. Separate from `request`, where it could pass for an authorization request that was verified. */
  readonly logout?: readonly Pair[]
  /** A path below the issuer, set only by this server's pages. Default: the account page. */
  readonly returnTo?: string
  /** The password was correct, and the second factor is still missing. */
  readonly pending?: PendingLogin
  /** The user session in which the user wants to continue, although `login_hint` names somebody else. */
  readonly chosenUserSession?: string
  /** The user session that a login during this flow created, and the time of that login. */
  readonly reauthenticated?: { readonly userSessionId: string; readonly authTime: EpochSeconds }
}

interface PendingLogin {
  readonly userId: string
  readonly at: EpochSeconds
  /** A hash of the password hash, so that a password change invalidates the pending login. */
  readonly fingerprint: string
}

/** A longer request must be pushed (RFC 9126). */
const MAX_REQUEST_LENGTH = 8192
/** After encryption. Together with cookies and other headers it fits into the 16 KiB that servers and proxies accept. */
const MAX_TEXT_LENGTH = 12_000

export interface FlowCodec {
  /** Returns null if the request is too long for a URL. @param browser the value of the browser cookie */
  encrypt(flow: Flow, browser: string): string | null
  /** Returns null if the text is not from this server or is for another browser, or if the flow has expired. */
  decrypt(text: string, browser: string): Flow | null
}

export function createFlowCodec({ cipher, clock }: { cipher: Cipher; clock: Clock }): FlowCodec {
  return {
    encrypt(flow, browser) {
      const json = JSON.stringify(flow)
      if (json.length > MAX_REQUEST_LENGTH) return null
      const text = cipher.encrypt(browser, packJson(json))
      return text.length > MAX_TEXT_LENGTH ? null : text
    },

    decrypt(text, browser) {
      if (text.length > MAX_TEXT_LENGTH) return null
      try {
        const flow: Flow = JSON.parse(unpackJson(cipher.decrypt(browser, text), 4 * MAX_REQUEST_LENGTH))
        const age = clock.now() - flow.arrivedAt
        return age <= FLOW_TTL && age >= -FLOW_CLOCK_SKEW ? flow : null
      } catch {
        return null
      }
    },
  }
}
