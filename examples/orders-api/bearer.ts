/** Verifies the token of a request with the cached keys, and returns the caller or the error of RFC 6750 §3.1. */
import { errors, type JWTVerifyGetKey, jwtVerify } from 'jose'

export interface Caller {
  readonly sub: string
  readonly clientId: string
  readonly scopes: readonly string[]
  /** Empty for a machine client. */
  readonly roles: readonly string[]
}

/** `challenge` follows `Bearer` in `WWW-Authenticate`; it is undefined for responses without that header. */
export class BearerError extends Error {
  readonly statusCode: number
  readonly challenge: string | undefined
  constructor(statusCode: number, message: string, challenge?: string) {
    super(message)
    this.statusCode = statusCode
    this.challenge = challenge
  }
}

export interface TokenRules {
  readonly issuer: string
  readonly audience: string
  readonly keys: JWTVerifyGetKey
}

/** @throws {BearerError} */
export async function callerOf(authorization: string | undefined, rules: TokenRules): Promise<Caller> {
  // RFC 6750 §3.1: a request without credentials gets a challenge without an error code.
  if (authorization === undefined) throw new BearerError(401, 'an access token is required', 'realm="orders"')
  const [, token] = /^Bearer +([\w~+/.-]+=*)$/i.exec(authorization) ?? []
  if (token === undefined) throw invalidToken('the header has no bearer token')

  const { payload } = await verify(token, rules)
  const { sub, client_id: clientId, scope, roles } = payload
  if (typeof sub !== 'string' || typeof clientId !== 'string')
    throw invalidToken('a claim has the wrong type')
  return {
    sub,
    clientId,
    scopes: typeof scope === 'string' ? scope.split(' ') : [],
    roles: Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : [],
  }
}

/** The keys could not be fetched. A 401 would make the caller throw away a token that may be valid. */
const KEYS_UNAVAILABLE = [errors.JOSEError.code, errors.JWKSTimeout.code, errors.JWKSInvalid.code]

/** Checks type, algorithm, signature, issuer, audience and times (RFC 9068 §4). */
async function verify(token: string, { issuer, audience, keys }: TokenRules) {
  try {
    return await jwtVerify(token, keys, {
      typ: 'at+jwt',
      algorithms: ['RS256'],
      issuer,
      audience,
      requiredClaims: ['exp', 'sub', 'client_id'],
    })
  } catch (error) {
    if (error instanceof errors.JOSEError && !KEYS_UNAVAILABLE.includes(error.code)) {
      throw invalidToken(error.message)
    }
    throw new BearerError(503, 'the keys of the issuer cannot be fetched; try again later')
  }
}

/** @throws {BearerError} 403 unless the caller has the scope, and the role if one is required */
export function checkAccess(caller: Caller, { scope, role }: { scope: string; role?: string }): void {
  if (!caller.scopes.includes(scope)) {
    throw new BearerError(
      403,
      `the scope ${scope} is required`,
      `error="insufficient_scope", scope="${scope}"`,
    )
  }
  if (role !== undefined && !caller.roles.includes(role)) {
    throw new BearerError(403, `the role ${role} is required`, 'error="insufficient_scope"')
  }
}

function invalidToken(reason: string): BearerError {
  // A parameter must not contain quotes or backslashes (RFC 6750 §3).
  const text = reason.replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, "'")
  return new BearerError(401, reason, `error="invalid_token", error_description="${text}"`)
}
