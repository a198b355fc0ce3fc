/**
 * One authorization request on its way through the pages. It is not stored: the browser carries it, encrypted, from
 * page to page. So a flood of requests fills no table, a restart loses nothing, and each tab has its own flow. It can be
 * decrypted only for the browser that it was made for. Must not know what is in the request.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Cipher } from '../../keys/encryption.ts'
import type { Clock, EpochSeconds } from '../../system.ts'
import { FLOW_CLOCK_SKEW, FLOW_TTL } from '../lifetimes.ts'
import type { Pair } from '../parameters.ts'

export interface Flow {
  readonly arrivedAt: EpochSeconds
  /** The parameters, or where they were pushed to; without either the flow leads to the account page. */
  readonly request?: readonly Pair[]
  readonly pushed?: { readonly clientId: string; readonly hash: string }
  /** A logout request. Not in `request`, where it could pass for one that needs no push and no signature. */
  readonly logout?: readonly Pair[]
  /** Path below the issuer that a flow without a request leads to. Only set by the server's own pages. */
  readonly returnTo?: string
  /** The password was right, the second factor is still missing. */
  readonly pending?: PendingLogin
  /** The user session that a login since the arrival of the request began, and the time of that login. */
  readonly reauthenticated?: { readonly userSessionId: string; readonly authTime: EpochSeconds }
}

interface PendingLogin {
  readonly userId: string
  readonly at: EpochSeconds
  /** Fingerprint of the password hash, so that a password change in between ends the login. */
  readonly fingerprint: string
}

/** A client with a longer request pushes it (RFC 9126). */
const MAX_REQUEST_LENGTH = 8192
/** Encrypted. With cookies and other headers it stays within the 16 KiB that this server and most proxies read. */
const MAX_TEXT_LENGTH = 12_000

export interface FlowCodec {
  /** @param browser value of the browser's cookie. Returns null if the request is too long to be carried. */
  encrypt(flow: Flow, browser: string): string | null
  /** null if this server did not write the text, or wrote it for another browser, or if the flow has expired. */
  decrypt(text: string, browser: string): Flow | null
}

export function createFlowCodec({ cipher, clock }: { cipher: Cipher; clock: Clock }): FlowCodec {
  return {
    encrypt(flow, browser) {
      const json = JSON.stringify(flow)
      if (json.length > MAX_REQUEST_LENGTH) return null
      const text = cipher.encrypt(browser, deflateRawSync(json).toString('base64'))
      return text.length > MAX_TEXT_LENGTH ? null : text
    },

    decrypt(text, browser) {
      if (text.length > MAX_TEXT_LENGTH) return null
      try {
        const flow = JSON.parse(
          inflateRawSync(Buffer.from(cipher.decrypt(browser, text), 'base64'), {
            maxOutputLength: 4 * MAX_REQUEST_LENGTH,
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
