import type { PasskeyRequest } from '../../accounts/passkeys.ts'
import type { PasskeyChallenge } from '../../views/passkeys.ts'

/** As the page carries it; null where there can be none. */
export function asChallenge(request: PasskeyRequest | null): PasskeyChallenge | null {
  return request && { options: request.options, sealed: request.challenge }
}
