/** Converts a passkey request of accounts/ to the challenge that pages render. */
import type { PasskeyRequest } from '../../accounts/passkeys.ts'
import type { PasskeyChallenge } from '../../views/passkeys.ts'

export function asChallenge(request: PasskeyRequest | null): PasskeyChallenge | null {
  return request && { options: request.options, state: request.challenge }
}
