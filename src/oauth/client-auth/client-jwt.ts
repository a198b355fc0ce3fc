/**
 * The common rules for JWTs that a client signs with a registered key: client assertions (RFC 7523) and request objects
 * (RFC 9101). Must not know what they are used for.
 */
import type { JWSHeaderParameters, JWTVerifyOptions, JWTVerifyResult } from 'jose'
import * as errors from 'jose/errors'
import { jwtVerify } from 'jose/jwt/verify'
import type { ClientJwtProblem } from '../../audit/failure-details.ts'
import { KeyturnError } from '../../errors.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { EpochSeconds } from '../../system.ts'
import { CLIENT_ALGORITHMS } from '../client-registration/client-jwks.ts'
import { permittedAlgorithms } from '../client-registration/fapi2.ts'
import { CLIENT_CLOCK_SKEW, MAX_CLIENT_JWT_LIFETIME } from '../lifetimes.ts'
import type { ClientKeys } from './client-keys.ts'

export const MAX_CLIENT_JWT_LENGTH = 8192

const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/** Whether the text has the form of a signed JWT: three nonempty parts (an encrypted JWT has five) and a limited length. */
export function isSignedJwt(text: string): boolean {
  return text.length <= MAX_CLIENT_JWT_LENGTH && COMPACT.test(text)
}

export interface ClientJwtRules {
  /** Accepted values of `typ`, which may also be absent. Other kinds of JWT have other types (RFC 8725 §3.11). */
  readonly types: readonly string[]
  readonly now: EpochSeconds
  /** Required claims in addition to `iss` and `exp`. */
  readonly required?: readonly string[]
  readonly subject?: string
}

export type ClientClaims = Readonly<Record<string, unknown>> & { readonly exp: number }

/** The JWT is not valid. The message contains no part of the JWT, so it may be logged. */
export class InvalidClientJwt extends KeyturnError<'invalid_client_jwt'> {
  readonly problem: ClientJwtProblem
  constructor(problem: ClientJwtProblem, message: string) {
    super('invalid_client_jwt', message)
    this.problem = problem
  }
}

/**
 * Returns the claims if the client signed the JWT, `iss` is the client, and the JWT is valid now. The caller must check the
 * audience.
 * @throws {InvalidClientJwt}
 * @throws {OAuthError} temporarily_unavailable if the client's keys cannot be fetched
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
    algorithms: [...permittedAlgorithms(client, CLIENT_ALGORITHMS)],
    requiredClaims: ['exp', ...required],
    clockTolerance: CLIENT_CLOCK_SKEW,
    currentDate: new Date(now * 1000),
  }).catch((error: unknown) => {
    throw error instanceof errors.JOSEError ? new InvalidClientJwt(problemOf(error), error.message) : error
  })
  checkHeader(protectedHeader, types)
  const { exp = Number.POSITIVE_INFINITY, iat } = payload
  if (exp > now + MAX_CLIENT_JWT_LIFETIME)
    throw new InvalidClientJwt('too_long_lived', 'exp is too far in the future')
  if (iat !== undefined && iat > now + CLIENT_CLOCK_SKEW) {
    throw new InvalidClientJwt('not_yet_valid', 'iat is in the future')
  }
  return { ...payload, exp }
}

/** jose's errors contain the claims, so they must not be used as a cause, which is logged. */
function problemOf(error: errors.JOSEError): ClientJwtProblem {
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return 'missing_claim'
    return error.reason === 'check_failed' ? (CLAIM_PROBLEMS[error.claim] ?? 'malformed') : 'malformed'
  }
  return PROBLEMS[error.code] ?? 'malformed'
}

const CLAIM_PROBLEMS: Readonly<Record<string, ClientJwtProblem>> = {
  iss: 'wrong_issuer',
  nbf: 'not_yet_valid',
}

/** The details by jose's error code. Any other code means that the JWT is malformed. */
const PROBLEMS: Readonly<Record<string, ClientJwtProblem>> = {
  ERR_JOSE_ALG_NOT_ALLOWED: 'wrong_algorithm',
  ERR_JWKS_NO_MATCHING_KEY: 'unknown_key',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'wrong_signature',
  ERR_JWT_EXPIRED: 'expired',
}

async function verifySignature(
  keys: ClientKeys,
  client: Client,
  text: string,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(text, (header) => findKey(keys, client, header), options)
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    // Several keys match, because the JWT has no `kid`, which is optional (RFC 7515 §4.1.4). Try all of them.
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

/** Importing a malformed key throws an error of the runtime. The client must repair its JWKS. */
async function findKey(keys: ClientKeys, client: Client, header: JWSHeaderParameters) {
  try {
    return await keys.find(client, header)
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof KeyturnError) throw error
    throw new InvalidClientJwt('unknown_key', 'the key with this kid is malformed')
  }
}

function checkHeader({ typ, b64 }: { typ?: unknown; b64?: unknown }, types: readonly string[]): void {
  // RFC 7515 §4.1.9: `typ` is a media type, so it is case-insensitive and `application/` may be omitted.
  const type = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : typ
  if (type !== undefined && !types.includes(type as string))
    throw new InvalidClientJwt('wrong_type', 'typ is wrong for this kind of JWT')
  // RFC 7797 §7: a JWT must not have an unencoded payload. Not all libraries check this.
  if (b64 !== undefined) throw new InvalidClientJwt('malformed', 'b64 is not allowed in a JWT')
}
