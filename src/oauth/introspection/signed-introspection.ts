/**
 * Introspection responses as signed JWTs (RFC 9701), so that a resource server can show later what it was told. Must not know how a token
 * is introspected.
 */
import type { Signer } from '../../keys/signer.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { Clock } from '../../system.ts'
import { SIGNED_RESPONSE_TTL } from '../lifetimes.ts'

/** RFC 9701 §5: the media type of the response is `application/` and this. */
export const INTROSPECTION_TYPE = 'token-introspection+jwt'

export type SignIntrospection = (response: object, client: Client) => Promise<string>

export function createSignIntrospection({
  signer,
  clock,
  issuer,
}: {
  readonly signer: Pick<Signer, 'signUntil'>
  readonly clock: Clock
  readonly issuer: string
}): SignIntrospection {
  return (response, client) => {
    const iat = clock.now()
    // §5: without `sub` and `exp` beside them, the response cannot be taken for an access token.
    const claims = { iss: issuer, aud: client.id, iat, token_introspection: response }
    const alg = client.introspectionSignedResponseAlg ?? undefined
    return signer.signUntil(INTROSPECTION_TYPE, claims, iat + SIGNED_RESPONSE_TTL, alg)
  }
}
