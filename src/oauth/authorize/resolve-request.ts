/** Finds the parameters of an authorization request: in the URL, in a signed object (RFC 9101), or pushed (RFC 9126). */
import { createHash } from 'node:crypto'
import type { FailureDetail } from '../../audit/failure-details.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { PushedRequest, PushedRequestStore } from '../../store/contracts/pushed-requests.ts'
import type { SingleUseStore } from '../../store/contracts/single-use.ts'
import type { Clock, EpochSeconds } from '../../system.ts'
import { invalidRequest, OAuthError } from '../errors.ts'
import { FLOW_TTL } from '../lifetimes.ts'
import type { CarriedRequests } from '../par/carried-requests.ts'
import { isUnchangedSince } from '../par/unchanged-client.ts'
import { type Pair, parametersOf, repeatedIn } from '../parameters.ts'
import type { Registry } from '../registry.ts'
import type { Flow } from './flow.ts'
import type { RequestObjects } from './request-object.ts'

export const REQUEST_URI_PREFIX = 'urn:ietf:params:oauth:request_uri:'

export interface ResolveRequestDeps {
  readonly registry: Pick<Registry, 'client'>
  readonly pushedRequests: Pick<PushedRequestStore, 'find'>
  readonly carriedRequests: Pick<CarriedRequests, 'decrypt'>
  readonly singleUse: Pick<SingleUseStore, 'has'>
  readonly requestObjects: RequestObjects
  readonly clock: Clock
}

export function hashRequestUri(uri: string): string {
  return createHash('sha256').update(uri).digest('base64url')
}

/** @throws {OAuthError} */
export async function resolveRequest(
  { registry, pushedRequests, carriedRequests, singleUse, requestObjects, clock }: ResolveRequestDeps,
  client: Client,
  pairs: readonly Pair[],
): Promise<Pick<Flow, 'request' | 'pushed' | 'signed'>> {
  const parameters = parametersOf(pairs)
  const repeated = repeatedIn(pairs)
  if (repeated.has('request') || repeated.has('request_uri'))
    throw invalidRequest('request or request_uri is repeated')
  const uri = parameters.get('request_uri')
  if (uri !== undefined) {
    if (parameters.get('request') !== undefined)
      throw invalidRequest('request and request_uri must not both be sent')
    // RFC 9101 §5.2.1: fetching it would let strangers choose the addresses that this server connects to.
    if (!uri.startsWith(REQUEST_URI_PREFIX)) {
      throw new OAuthError(
        'request_uri_not_supported',
        'request_uri must come from the pushed authorization request endpoint',
      )
    }
    const hash = hashRequestUri(uri)
    const carried = carriedRequests.decrypt(uri.slice(REQUEST_URI_PREFIX.length))
    const pushed = carried
      ? { ...carried, usedAt: (await singleUse.has(hash)) ? carried.expiresAt : null }
      : await pushedRequests.find(hash)
    // RFC 9126 §2.2, §4: valid only for the client that pushed it, as it was then, until it expires, and once.
    const isOther = pushed !== null && !isUnchangedSince(client, pushed.clientRevision)
    // Another node may have accepted the request just after a change that this node has not read yet.
    const current = isOther ? await registry.client(client.id, { fresh: true }) : client
    const detail = problemOf(pushed, current, clock.now())
    if (detail !== null) {
      throw new OAuthError('invalid_request_uri', 'the pushed request is unknown, was used, or has expired', {
        detail,
      })
    }
    // The client has not changed since it pushed the request. If it must sign, the signature was verified at that time.
    const signed = client.requireSignedRequests
    if (!carried) return { pushed: { clientId: client.id, hash }, signed }
    // The pages may take as long as a flow lives.
    const carriedUntil = carried.expiresAt + FLOW_TTL
    return { request: carried.parameters, pushed: { clientId: client.id, hash, carriedUntil }, signed }
  }
  const signed = parameters.get('request') !== undefined
  assertManner(client, { pushed: false, signed })
  return { request: await verifyRequestObject(requestObjects, client, pairs), signed }
}

/**
 * Refuses a request that was not sent in the way that the client must send it.
 * @throws {OAuthError}
 */
export function assertManner(
  client: Pick<Client, 'requirePushedRequests' | 'requireSignedRequests'>,
  { pushed, signed }: { readonly pushed: boolean; readonly signed: boolean },
): void {
  if (client.requirePushedRequests && !pushed)
    throw invalidRequest('this client must push its requests (RFC 9126)')
  if (client.requireSignedRequests && !signed)
    throw invalidRequest('this client must sign its requests (RFC 9101)')
}

function problemOf(
  pushed: PushedRequest | null,
  client: Client | null,
  now: EpochSeconds,
): FailureDetail | null {
  if (!pushed) return 'unknown_request_uri'
  if (pushed.clientId !== client?.id) return 'other_client'
  if (pushed.usedAt !== null) return 'request_uri_used'
  if (!isUnchangedSince(client, pushed.clientRevision)) return 'changed_meanwhile'
  return now >= pushed.expiresAt ? 'request_uri_expired' : null
}

/** Returns only the signed parameters; without a request object, all parameters. @throws {OAuthError} */
export async function verifyRequestObject(
  requestObjects: RequestObjects,
  client: Client,
  pairs: readonly Pair[],
): Promise<readonly Pair[]> {
  const request = parametersOf(pairs).get('request')
  if (request === undefined) {
    assertManner(client, { pushed: true, signed: false })
    return pairs
  }
  const signed = await requestObjects.read(client, request)
  // RFC 9101 §5: the request object may omit it.
  return signed.some(([name]) => name === 'client_id') ? signed : [['client_id', client.id], ...signed]
}
