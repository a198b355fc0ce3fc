/**
 * The pushed request of a public client, encrypted into its `request_uri`. Anyone can push in the name of a public client, so such
 * a request must not become a row. Only the fact that it was answered becomes a row, because by then a user has signed in. Must not know HTTP.
 */
import type { Cipher } from '../../keys/encryption.ts'
import type { PushedRequest } from '../../store/contracts/pushed-requests.ts'
import { packJson, unpackJson } from '../packed-json.ts'

type CarriedRequest = Omit<PushedRequest, 'usedAt'>

export interface CarriedRequests {
  /** The last part of a `request_uri`; null if the request is too long for one. */
  encrypt(request: CarriedRequest): string | null
  /** null if this server did not create the text. */
  decrypt(text: string): CarriedRequest | null
}

/** Distinguishes a carried request from the reference to a stored one, which is base64url and so contains no `~`. */
const PREFIX = 'e~'
/** A text of this length and the rest of the URL fit into the 8 KiB that common proxies read of a request line. */
const MAX_TEXT_LENGTH = 7000
const MAX_REQUEST_LENGTH = 65_536
const CONTEXT = 'request_uri'

export function createCarriedRequests(cipher: Cipher): CarriedRequests {
  return {
    encrypt(request) {
      const text = PREFIX + cipher.encrypt(CONTEXT, packJson(JSON.stringify(request)))
      return text.length > MAX_TEXT_LENGTH ? null : text
    },

    decrypt(text) {
      if (!text.startsWith(PREFIX) || text.length > MAX_TEXT_LENGTH) return null
      try {
        return JSON.parse(unpackJson(cipher.decrypt(CONTEXT, text.slice(PREFIX.length)), MAX_REQUEST_LENGTH))
      } catch {
        return null
      }
    },
  }
}
