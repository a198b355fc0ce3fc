/**
 * A JWT that a client signs with a key it has registered: an assertion of who it is (RFC 7523), or a request object
 * (RFC 9101). What holds for both is here; must not know what either says.
 */
import { errors, type JWTVerifyOptions, type JWTVerifyResult, jwtVerify } from 'jose'
import type { Client } from '../../store/contracts/clients.ts'
import type { EpochSeconds } from '../../system.ts'
import { CLIENT_CLOCK_SKEW, MAX_CLIENT_JWT_LIFETIME } from '../lifetimes.ts'
import type { ClientKeys } from './client-keys.ts'

/** Asymmetric only: a shared secret could be guessed, and a public key must never be used as one (RFC 8725 §3.1). */
export const CLIENT_ALGORITHMS: readonly string[] = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']

const MAX_LENGTH = 8192

const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/** A signed JWT by its looks: neither encrypted (five parts), nor without a signature, nor larger than anybody needs. */
export function isSignedJwt(text: string): boolean {
  return text.length <= MAX_LENGTH && COMPACT.test(text)
}

export interface ClientJwtRules {
  /** Other kinds of JWT say what they are; only these will do, or none (RFC 8725 §3.11). */
  readonly types: readonly string[]
  readonly now: EpochSeconds
  /** Besides `iss` and `exp`. */
  readonly required?: readonly string[]
  readonly subject?: string
}

export type ClientClaims = Readonly<Record<string, unknown>> & { readonly exp: number }

/**
 * What the JWT says, if the client has signed it, names itself in `iss`, and it is of this hour. Who it is for is still
 * to be looked at.
 * @throws {Error} saying why not, for the log alone
 * @throws {OAuthError} temporarily_unavailable if the client's keys cannot be had
 */
export async function verifyClientJwt(
  keys: ClientKeys,
  client: Client,
  text: string,
  { types, now, required = [], subject }: ClientJwtRules,
): Promise<ClientClaims> {
  const { payload, protectedHeader } = await verifySignature(keys, client, text, {
    issuer: client.id,
    ...(subject === undefined ? {} : { subject }),
    algorithms: [...CLIENT_ALGORITHMS],
    requiredClaims: ['exp', ...required],
    clockTolerance: CLIENT_CLOCK_SKEW,
    currentDate: new Date(now * 1000),
  })
  checkHeader(protectedHeader, types)
  const { exp = Number.POSITIVE_INFINITY, iat } = payload
  if (exp > now + MAX_CLIENT_JWT_LIFETIME) throw new Error('exp is too far in the future')
  if (iat !== undefined && iat > now + CLIENT_CLOCK_SKEW) throw new Error('iat is in the future')
  return { ...payload, exp }
}

async function verifySignature(
  keys: ClientKeys,
  client: Client,
  text: string,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(text, (header) => keys.find(client, header), options)
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    // Several keys and no `kid` to choose by (RFC 7515 §4.1.4 leaves it out as it likes): any of them will do.
    for await (const key of error) {
      try {
        return await jwtVerify(text, key, options)
      } catch (mismatch) {
        if (!(mismatch instanceof errors.JWSSignatureVerificationFailed)) throw mismatch
      }
    }
    throw new errors.JWSSignatureVerificationFailed()
  }
}

function checkHeader({ typ, b64 }: { typ?: unknown; b64?: unknown }, types: readonly string[]): void {
  // RFC 7515 §4.1.9: a media type, so letters may be of either case and `application/` may be left out.
  const type = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : typ
  if (type !== undefined && !types.includes(type as string))
    throw new Error('typ is that of another kind of JWT')
  // RFC 7797 §7: no JWT may have an unencoded payload; not all libraries look.
  if (b64 !== undefined) throw new Error('b64 has no place in a JWT')
}
