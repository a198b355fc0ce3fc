/**
 * Signed authorization requests (RFC 9101; OIDC Core §6.1). Encryption is not supported, because anyone can encrypt with a
 * public key. Must not know what the parameters mean.
 */
import type { FailureDetail } from '../../audit/failure-details.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { Clock, EpochSeconds } from '../../system.ts'
import {
  type ClientClaims,
  InvalidClientJwt,
  isSignedJwt,
  verifyClientJwt,
} from '../client-auth/client-jwt.ts'
import type { ClientKeys } from '../client-auth/client-keys.ts'
import { needsRequestPeriod } from '../client-registration/fapi2.ts'
import { OAuthError } from '../errors.ts'
import { MAX_CLIENT_JWT_LIFETIME } from '../lifetimes.ts'
import { isTooLong, MAX_PARAMETERS, type Pair } from '../parameters.ts'

/** RFC 9101 §10.8, and the generic type that older clients use. */
const TYPES: readonly string[] = ['oauth-authz-req+jwt', 'jwt']
/** Claims of the JWT that are not parameters of the request (RFC 7519 §4.1). */
const JWT_CLAIMS: readonly string[] = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti']

export interface RequestObjects {
  /**
   * Returns the signed parameters, which replace all others (§6.3). Numbers become text, objects become JSON.
   * @throws {OAuthError} invalid_request_object; request_not_supported if the client has no key to sign with
   */
  read(client: Client, jwt: string): Promise<readonly Pair[]>
}

export interface RequestObjectDeps {
  readonly clientKeys: ClientKeys
  readonly clock: Clock
  readonly issuer: string
}

export function createRequestObjects({ clientKeys, clock, issuer }: RequestObjectDeps): RequestObjects {
  return {
    async read(client, jwt) {
      if (!client.jwks && !client.jwksUri) {
        throw new OAuthError('request_not_supported', 'the client has no keys for signed requests')
      }
      try {
        if (!isSignedJwt(jwt)) throw refused('request_object_malformed', 'not a compact JWS, or too long')
        const claims = await verifyClientJwt(clientKeys, client, jwt, {
          types: TYPES,
          now: clock.now(),
          required: needsRequestPeriod(client) ? ['nbf'] : [],
        })
        if (needsRequestPeriod(client)) checkPeriod(claims, clock.now())
        checkClaims(claims, client, issuer)
        return pairsOf(claims)
      } catch (error) {
        if (!(error instanceof InvalidClientJwt)) throw error
        throw refused(`request_object_${error.problem}`, error.message)
      }
    },
  }
}

const refused = (detail: FailureDetail, cause: string) =>
  new OAuthError('invalid_request_object', 'the request object is not valid', { detail, cause })

const wrongParameters = (cause: string) => refused('request_object_wrong_parameters', cause)

function checkClaims(claims: ClientClaims, client: Client, issuer: string): void {
  const { aud, sub, client_id } = claims
  // Additional audiences are allowed: unlike an assertion, a request object authenticates no client.
  if (!(Array.isArray(aud) ? aud : [aud]).includes(issuer)) {
    throw refused('request_object_wrong_audience', 'aud is not the issuer')
  }
  // §10.8: a client assertion must not be accepted as a request object.
  if (sub === client.id) throw refused('request_object_is_assertion', 'sub is the client')
  if (client_id !== undefined && client_id !== client.id) {
    throw refused('request_object_wrong_client', 'client_id is another client')
  }
  // §4: a request object must not contain these.
  if (claims.request !== undefined || claims.request_uri !== undefined) {
    throw wrongParameters('request or request_uri inside a request object')
  }
}

/** The `nbf` is required, so it is a number. */
function checkPeriod({ exp, nbf }: ClientClaims, now: EpochSeconds): void {
  if (exp - Number(nbf) > MAX_CLIENT_JWT_LIFETIME || now - Number(nbf) > MAX_CLIENT_JWT_LIFETIME)
    throw new InvalidClientJwt('too_long_lived', 'the time from nbf to exp, or since nbf, is too long')
}

function pairsOf(claims: ClientClaims): Pair[] {
  const pairs = Object.entries(claims)
    .filter(([name]) => !JWT_CLAIMS.includes(name))
    .flatMap(([name, value]) => textsOf(name, value).map((text): Pair => [name, text]))
  if (pairs.length > MAX_PARAMETERS) throw wrongParameters('too many parameters')
  if (pairs.some((pair) => isTooLong(pair))) throw wrongParameters('a parameter is too long')
  // The form parser refuses these too.
  for (const text of pairs.flat()) {
    if (text.includes('\0') || !text.isWellFormed()) throw wrongParameters('a parameter is not text')
  }
  return pairs
}

function textsOf(name: string, value: unknown): string[] {
  if (value === null) return []
  if (typeof value === 'string') return [value]
  if (typeof value === 'number' || typeof value === 'boolean') return [String(value)]
  if (!Array.isArray(value)) return [JSON.stringify(value)]
  // RFC 8707 §2: the only parameter that may be repeated.
  if (name === 'resource' && value.every((item) => typeof item === 'string')) return value
  throw wrongParameters('a parameter is a list')
}
