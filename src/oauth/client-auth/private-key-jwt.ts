/** RFC 7523 §2.2, §3: the client signs a short-lived assertion with a registered key. */
import { createHash } from 'node:crypto'
import type { JWTPayload } from 'jose'
import { decodeJwt } from 'jose/jwt/decode'
import type { Client } from '../../store/contracts/clients.ts'
import { invalidClient, invalidRequest, OAuthError } from '../errors.ts'
import { CLIENT_CLOCK_SKEW } from '../lifetimes.ts'
import type { ProtocolRequest } from '../parameters.ts'
import { type ClientClaims, InvalidClientJwt, isSignedJwt, verifyClientJwt } from './client-jwt.ts'
import type { ClientAuthMethod, ClientAuthMethodDeps } from './method.ts'

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

const TYPES: readonly string[] = ['jwt', 'client-authentication+jwt']

type Deps = Pick<ClientAuthMethodDeps, 'clientKeys' | 'singleUse' | 'writeLimiter' | 'clock' | 'issuer'>

export function privateKeyJwt(deps: Deps): ClientAuthMethod {
  return {
    findCredentials(request) {
      const { parameters } = request
      const assertion = parameters.get('client_assertion')
      const type = parameters.get('client_assertion_type')
      if (assertion === undefined && type === undefined) return null
      if (assertion === undefined) throw invalidRequest('client_assertion_type without client_assertion')
      if (type !== ASSERTION_TYPE) throw invalidRequest('client_assertion_type must be the JWT bearer type')
      const clientId = claimedId(assertion)
      return { clientId, verify: (client) => verify(deps, client, assertion, request) }
    },
  }
}

/** Reads the client id from the unverified assertion, to find the keys that verify it. */
function claimedId(assertion: string): string {
  if (!isSignedJwt(assertion)) throw malformed('not a compact JWS')
  let payload: JWTPayload
  try {
    payload = decodeJwt(assertion)
  } catch {
    throw malformed('the payload is not a JSON object')
  }
  if (typeof payload.sub !== 'string' || payload.sub === '') throw malformed('the assertion has no sub')
  return payload.sub
}

const malformed = (cause: string) => invalidClient({ detail: 'assertion_malformed', cause })

async function verify(deps: Deps, client: Client, assertion: string, request: ProtocolRequest) {
  let claims: ClientClaims
  try {
    claims = await verifyClientJwt(deps.clientKeys, client, assertion, {
      types: TYPES,
      now: deps.clock.now(),
      required: ['jti', 'aud'],
      subject: client.id,
    })
    checkClaims(claims, client, deps.issuer, request.endpoint)
  } catch (error) {
    if (!(error instanceof InvalidClientJwt)) throw error
    throw invalidClient({ detail: `assertion_${error.problem}`, cause: error.message })
  }
  // The `jti` is claimed last, so that only the client itself can use it up.
  const id = createHash('sha256').update(`assertion\0${client.id}\0${claims.jti}`).digest('base64url')
  const wait = deps.writeLimiter.take('assertion', client.id)
  if (wait > 0) {
    throw new OAuthError('temporarily_unavailable', 'too many client assertions, try again later', {
      status: 429,
      retryAfter: wait,
    })
  }
  const until = Math.ceil(claims.exp) + CLIENT_CLOCK_SKEW
  if (!(await deps.singleUse.claim(id, until))) throw invalidClient({ detail: 'assertion_replayed' })
  return true
}

function checkClaims({ aud, jti }: ClientClaims, client: Client, issuer: string, endpoint: string): void {
  // A list of audiences is refused, because one of these servers could replay the assertion at another.
  const audiences = client.acceptEndpointAudience ? [issuer, endpoint] : [issuer]
  if (typeof aud !== 'string' || !audiences.includes(aud))
    throw new InvalidClientJwt('wrong_audience', 'aud is not the issuer')
  if (typeof jti !== 'string' || jti === '') throw new InvalidClientJwt('malformed', 'jti is not a string')
}
