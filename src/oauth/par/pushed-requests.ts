/** Pushed authorization requests (RFC 9126). Must not know HTTP. */
import type { RateLimiter } from '../../accounts/rate-limiter.ts'
import type { WriteLimiter } from '../../accounts/write-limiter.ts'
import type { Audit } from '../../audit/events.ts'
import type { Config } from '../../config/load.ts'
import type { PushedRequest, PushedRequestStore } from '../../store/contracts/pushed-requests.ts'
import type { Clock, Random, Seconds } from '../../system.ts'
import { auditFailure } from '../audit-failures.ts'
import { findRedirectTarget } from '../authorize/redirect-target.ts'
import { readRequest } from '../authorize/request.ts'
import type { RequestObjects } from '../authorize/request-object.ts'
import { hashRequestUri, REQUEST_URI_PREFIX, verifyRequestObject } from '../authorize/resolve-request.ts'
import type { AuthenticateClient } from '../client-auth/index.ts'
import type { ProveKey } from '../dpop/index.ts'
import { invalidRequest, OAuthError, unauthorizedClient } from '../errors.ts'
import { PUSHED_REQUEST_TTL } from '../lifetimes.ts'
import { type Pair, type ProtocolRequest, parametersOf } from '../parameters.ts'
import type { Registry } from '../registry.ts'
import { defaultAudienceOf, resolveScopes } from '../scope.ts'
import type { CarriedRequests } from './carried-requests.ts'

export interface PushedRequestDeps {
  readonly authenticate: AuthenticateClient
  readonly proveKey: ProveKey
  readonly rateLimiter: Pick<RateLimiter, 'take'>
  readonly writeLimiter: Pick<WriteLimiter, 'take'>
  readonly registry: Registry
  readonly pushedRequests: Pick<PushedRequestStore, 'insert'>
  readonly carriedRequests: Pick<CarriedRequests, 'encrypt'>
  readonly requestObjects: RequestObjects
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly config: Pick<Config, 'issuer' | 'defaultAudience'>
}

/** RFC 9126 §2.2. */
interface PushedRequestResponse {
  readonly request_uri: string
  readonly expires_in: Seconds
}

/** @throws {OAuthError} */
export type PushRequest = (request: ProtocolRequest) => Promise<PushedRequestResponse>

const ID_BYTES = 32

/** Anyone can claim to be a public client. Its requests are not stored, but they are limited, because they cost CPU time. */
export const PUBLIC_LIMITS = { burst: 60, interval: 1, bytes: 16_384 } as const

/** Parameters of client authentication, which are not part of the authorization request (§2.1). */
const AUTHENTICATION_PARAMETERS: readonly string[] = [
  'client_secret',
  'client_assertion',
  'client_assertion_type',
]

export function createPushRequest(deps: PushedRequestDeps): PushRequest {
  const {
    authenticate,
    proveKey,
    rateLimiter,
    registry,
    pushedRequests,
    writeLimiter,
    carriedRequests,
    requestObjects,
    clock,
    random,
    audit,
    config,
  } = deps

  return (request) =>
    auditFailure(audit, 'par.refused', request, async (established) => {
      const client = await authenticate(request)
      established.clientId = client.id
      if (!client.grants.includes('authorization_code')) {
        throw unauthorizedClient('the client is not registered for the authorization code grant', {
          detail: 'grant_not_registered',
        })
      }
      if (client.authMethod === 'none') await checkLimits(client.id, request)
      if (request.parameters.get('request_uri') !== undefined) {
        throw invalidRequest('request_uri is not allowed in a pushed request')
      }
      const requestPairs: Pair[] = [
        ...request.pairs.filter(
          ([name]) => !AUTHENTICATION_PARAMETERS.includes(name) && name !== 'client_id',
        ),
        ['client_id', client.id],
      ]
      const key = request.dpop.length === 0 ? null : await proveKey(request)
      const sent = await verifyRequestObject(requestObjects, client, requestPairs)
      const pairs = key ? boundTo(key.jkt, sent) : sent
      // Validated as at the authorization endpoint (§2.1), so that the client gets errors now.
      const { scopes, resource } = readRequest(findRedirectTarget(client, pairs), pairs)
      resolveScopes(
        { requested: scopes, resource, client, roles: null },
        registry,
        defaultAudienceOf(registry, config),
      )

      await key?.consume(client, null)
      const pushed = {
        clientId: client.id,
        clientRevision: client.revision,
        parameters: pairs,
        expiresAt: clock.now() + PUSHED_REQUEST_TTL,
        usedAt: null,
      }
      const uri = client.authMethod === 'none' ? carry(pushed) : await store(pushed)
      return { request_uri: uri, expires_in: PUSHED_REQUEST_TTL }
    })

  function carry({ usedAt, ...request }: PushedRequest): string {
    const text = carriedRequests.encrypt(request)
    if (text === null) throw tooLarge()
    return REQUEST_URI_PREFIX + text
  }

  async function store(request: PushedRequest): Promise<string> {
    const kilobytes = Math.ceil(sizeOf(request.parameters) / 1024)
    const wait = writeLimiter.take('pushedKilobyte', request.clientId, kilobytes)
    if (wait > 0) throw tooMany(wait)
    const uri = REQUEST_URI_PREFIX + random.bytes(ID_BYTES).toString('base64url')
    if (!(await pushedRequests.insert(hashRequestUri(uri), request)))
      throw invalidRequest('the client was deleted', { detail: 'changed_meanwhile' })
    return uri
  }

  async function checkLimits(clientId: string, { pairs, ip }: ProtocolRequest): Promise<void> {
    if (sizeOf(pairs) > PUBLIC_LIMITS.bytes) throw tooLarge()
    const wait = await rateLimiter.take(`par:${clientId}`, ip, PUBLIC_LIMITS)
    if (wait > 0) throw tooMany(wait)
  }
}

/**
 * RFC 9449 §10.1: a proof with the request means what `dpop_jkt` means, and both must name one key.
 * @throws {OAuthError} invalid_request
 */
function boundTo(jkt: string, pairs: readonly Pair[]): readonly Pair[] {
  const named = parametersOf(pairs).get('dpop_jkt')
  if (named === undefined) return [...pairs.filter(([name]) => name !== 'dpop_jkt'), ['dpop_jkt', jkt]]
  if (named !== jkt)
    throw invalidRequest('dpop_jkt is not the key of the DPoP proof', { detail: 'sender_mismatch' })
  return pairs
}

const sizeOf = (pairs: readonly Pair[]): number =>
  pairs.reduce((sum, [name, value]) => sum + name.length + value.length, 0)

const tooLarge = () => new OAuthError('invalid_request', 'the request is too large', { status: 413 })

/** RFC 9126 §2.3. */
const tooMany = (retryAfter: Seconds) =>
  new OAuthError('temporarily_unavailable', 'too many requests, try again later', { status: 429, retryAfter })
