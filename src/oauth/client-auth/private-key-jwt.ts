/** RFC 7523 §2.2, §3: the client signs a short-lived assertion with a key it has registered. */
import { createHash } from 'node:crypto'
import {
  decodeJwt,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  type JWTVerifyResult,
  jwtVerify,
} from 'jose'
import type { Client } from '../../store/contracts/clients.ts'
import type { SingleUseStore } from '../../store/contracts/single-use.ts'
import type { Clock, Seconds } from '../../system.ts'
import { invalidClient, invalidRequest, OAuthError } from '../errors.ts'
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
const TYPES: readonly string[] = ['jwt', 'client-authentication+jwt']

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
  } catch {
    throw invalidClient('the payload is not a JSON object')
  }
  if (typeof payload.sub !== 'string' || payload.sub === '') throw invalidClient('assertion without sub')
  return payload.sub
}

async function verify(deps: PrivateKeyJwtDeps, client: Client, assertion: string, request: ProtocolRequest) {
  const now = deps.clock.now()
  let payload: JWTPayload
  try {
    const verified = await verifySignature(deps.clientKeys, client, assertion, {
      issuer: client.id,
      subject: client.id,
      algorithms: [...ASSERTION_ALGORITHMS],
      requiredClaims: ['exp', 'jti', 'aud'],
      clockTolerance: TOLERANCE,
      currentDate: new Date(now * 1000),
    })
    checkHeader(verified.protectedHeader)
    payload = verified.payload
    checkClaims(payload, client, now, deps.issuer, request.endpoint)
  } catch (error) {
    if (error instanceof OAuthError) throw error
    // The text only: jose's errors carry the claims along, and causes end up in the log.
    throw invalidClient((error as Error).message)
  }
  // Last, so that nobody but the client can use up its jti.
  const id = createHash('sha256').update(`assertion\0${client.id}\0${payload.jti}`).digest('base64url')
  const until = Math.ceil(payload.exp as number) + TOLERANCE
  if (!(await deps.singleUse.firstUse(id, until))) throw invalidClient('jti was used before')
  return true
}

async function verifySignature(
  keys: ClientKeys,
  client: Client,
  assertion: string,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(assertion, (header) => keys.find(client, header), options)
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    // Several keys and no `kid` to choose by (RFC 7515 §4.1.4 leaves it out as it likes): any of them will do.
    for await (const key of error) {
      try {
        return await jwtVerify(assertion, key, options)
      } catch (mismatch) {
        if (!(mismatch instanceof errors.JWSSignatureVerificationFailed)) throw mismatch
      }
    }
    throw new errors.JWSSignatureVerificationFailed()
  }
}

function checkHeader({ typ, b64 }: { typ?: unknown; b64?: unknown }): void {
  // RFC 7515 §4.1.9: a media type, so letters may be of either case and `application/` may be left out.
  const type = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : typ
  if (type !== undefined && !TYPES.includes(type as string)) {
    throw new Error('typ is not that of a client assertion')
  }
  // RFC 7797 §7: no JWT may have an unencoded payload; not all libraries look.
  if (b64 !== undefined) throw new Error('b64 has no place in a JWT')
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
