/** RFC 7523 §2.2, §3: the client signs a short-lived assertion with a key it has registered. */
import { createHash } from 'node:crypto'
import { decodeJwt, type JWTPayload, jwtVerify } from 'jose'
import type { Client } from '../../store/contracts/clients.ts'
import type { SingleUseStore } from '../../store/contracts/single-use.ts'
import type { Clock, Seconds } from '../../system.ts'
import { invalidClient, invalidRequest } from '../errors.ts'
import type { ProtocolRequest } from '../parameters.ts'
import type { ClientKeys } from './client-keys.ts'
import type { ClientAuthMethod } from './method.ts'

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Asymmetric only: a shared secret could be guessed, and a public key must never be used as one (RFC 8725 §3.1). */
export const ASSERTION_ALGORITHMS: readonly string[] = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']

/** A clock may be this far ahead or behind (FAPI 2.0 §5.3.2.1: at least 10 s, less than 60 s). */
const TOLERANCE: Seconds = 30
/** The `jti` must be kept until `exp`; what expires later than this is refused (RFC 7523 §3, rule 4). */
const LONGEST: Seconds = 3600
const LONGEST_TEXT = 8192

/** Other kinds of JWT say what they are; only these may be a client assertion (RFC 8725 §3.11). */
const TYPES: readonly unknown[] = [undefined, 'JWT', 'jwt', 'client-authentication+jwt']

const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

export interface PrivateKeyJwtDeps {
  readonly clientKeys: ClientKeys
  readonly singleUse: SingleUseStore
  readonly clock: Clock
  readonly issuer: string
}

export function privateKeyJwt(deps: PrivateKeyJwtDeps): ClientAuthMethod {
  return {
    name: 'private_key_jwt',
    present(request) {
      const { parameters } = request
      const assertion = parameters.get('client_assertion')
      const type = parameters.get('client_assertion_type')
      if (assertion === undefined && type === undefined) return undefined
      if (assertion === undefined) throw invalidRequest('client_assertion_type without client_assertion')
      if (type !== ASSERTION_TYPE) throw invalidRequest('client_assertion_type must be the JWT bearer type')
      const clientId = claimedId(assertion)
      return { clientId, verify: (client) => verify(deps, client, assertion, request) }
    },
  }
}

/** Read before it is proven, only to know whose keys to prove it with. */
function claimedId(assertion: string): string {
  if (assertion.length > LONGEST_TEXT || !COMPACT.test(assertion)) throw invalidClient('not a compact JWS')
  let payload: JWTPayload
  try {
    payload = decodeJwt(assertion)
  } catch (error) {
    throw invalidClient(error)
  }
  if (typeof payload.sub !== 'string' || payload.sub === '') throw invalidClient('assertion without sub')
  return payload.sub
}

async function verify(deps: PrivateKeyJwtDeps, client: Client, assertion: string, request: ProtocolRequest) {
  const now = deps.clock.now()
  let payload: JWTPayload
  try {
    const verified = await jwtVerify(assertion, (header) => deps.clientKeys.find(client, header), {
      issuer: client.id,
      subject: client.id,
      algorithms: [...ASSERTION_ALGORITHMS],
      requiredClaims: ['exp', 'jti', 'aud'],
      clockTolerance: TOLERANCE,
      currentDate: new Date(now * 1000),
    })
    if (!TYPES.includes(verified.protectedHeader.typ))
      throw new Error('typ is not that of a client assertion')
    payload = verified.payload
    checkClaims(payload, client, now, deps.issuer, request.endpoint)
  } catch (error) {
    throw invalidClient(error)
  }
  // Last, so that nobody but the client can use up its jti.
  const id = createHash('sha256').update(`assertion\0${client.id}\0${payload.jti}`).digest('base64url')
  const until = (payload.exp as number) + TOLERANCE
  if (!(await deps.singleUse.firstUse(id, until))) throw invalidClient('jti was used before')
  return true
}

function checkClaims(
  payload: JWTPayload,
  client: Client,
  now: number,
  issuer: string,
  endpoint: string,
): void {
  // As a string, not in a list: one that names other servers too could be replayed there and here.
  const audiences = client.acceptEndpointAudience ? [issuer, endpoint] : [issuer]
  if (typeof payload.aud !== 'string' || !audiences.includes(payload.aud))
    throw new Error('aud is not the issuer')
  if (typeof payload.jti !== 'string' || payload.jti === '') throw new Error('jti is not a string')
  if ((payload.exp as number) > now + LONGEST) throw new Error('exp is too far in the future')
  if (payload.iat !== undefined && payload.iat > now + TOLERANCE) throw new Error('iat is in the future')
}
