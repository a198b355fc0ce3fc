/** A token in a request → who calls, or the error that RFC 6750 §3.1 names. Asks nobody: the keys are here. */
import { errors, type JWTVerifyGetKey, jwtVerify } from 'jose'

export interface Caller {
  readonly sub: string
  readonly clientId: string
  readonly scopes: readonly string[]
  /** Empty for machines. */
  readonly roles: readonly string[]
}

/** `challenge` is what follows `Bearer` in `WWW-Authenticate`; undefined where that header has no place. */
export class BearerError extends Error {
  readonly statusCode: number
  readonly challenge: string | undefined
  constructor(statusCode: number, message: string, challenge?: string) {
    super(message)
    this.statusCode = statusCode
    this.challenge = challenge
  }
}

export interface Issuer {
  readonly issuer: string
  readonly audience: string
  readonly keys: JWTVerifyGetKey
}

/** @throws {BearerError} */
export async function callerOf(authorization: string | undefined, issuer: Issuer): Promise<Caller> {
  // Without credentials there is nothing wrong with them: a challenge, and no error code.
  if (authorization === undefined) throw new BearerError(401, 'a token is needed', 'realm="orders"')
  const [, token] = /^Bearer +([\w~+/.-]+=*)$/i.exec(authorization) ?? []
  if (token === undefined) throw invalidToken('not a bearer token')

  const { payload } = await verify(token, issuer)
  const { sub, client_id: clientId, scope, roles } = payload
  if (typeof sub !== 'string' || typeof clientId !== 'string') throw invalidToken('a claim is malformed')
  return {
    sub,
    clientId,
    scopes: typeof scope === 'string' ? scope.split(' ') : [],
    roles: Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : [],
  }
}

/** Keys that could not be fetched: 401 would make the caller throw a good token away. */
const NOT_THE_TOKENS_FAULT = [errors.JOSEError.code, errors.JWKSTimeout.code, errors.JWKSInvalid.code]

/** RFC 9068 §4: type, algorithm, signature, issuer, audience and time, or no token at all. */
async function verify(token: string, { issuer, audience, keys }: Issuer) {
  try {
    return await jwtVerify(token, keys, {
      typ: 'at+jwt',
      algorithms: ['RS256'],
      issuer,
      audience,
      requiredClaims: ['exp', 'sub', 'client_id'],
    })
  } catch (error) {
    if (error instanceof errors.JOSEError && !NOT_THE_TOKENS_FAULT.includes(error.code)) {
      throw invalidToken(error.message)
    }
    throw new BearerError(503, 'the keys of the issuer cannot be had, try again later')
  }
}

/** @throws {BearerError} 403 unless the token has the scope and, where one is named, the role */
export function demand(caller: Caller, { scope, role }: { scope: string; role?: string }): void {
  if (!caller.scopes.includes(scope)) {
    throw new BearerError(403, `needs ${scope}`, `error="insufficient_scope", scope="${scope}"`)
  }
  if (role !== undefined && !caller.roles.includes(role)) {
    throw new BearerError(403, `needs the role ${role}`, 'error="insufficient_scope"')
  }
}

function invalidToken(reason: string): BearerError {
  // Quotes and backslashes would end the parameter (RFC 6750 §3).
  const text = reason.replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, "'")
  return new BearerError(401, reason, `error="invalid_token", error_description="${text}"`)
}
