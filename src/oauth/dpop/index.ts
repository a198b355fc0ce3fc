/**
 * DPoP (RFC 9449): a request proves that its sender has a key. Verifies the proof, asks for nonces, and accepts each proof once. Must not
 * know what the request is for.
 */
import { createHash } from 'node:crypto'
import type { WriteLimiter } from '../../accounts/write-limiter.ts'
import type { Config } from '../../config/load.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { SingleUseStore } from '../../store/contracts/single-use.ts'
import type { Clock } from '../../system.ts'
import { OAuthError } from '../errors.ts'
import type { DpopNonces } from './nonces.ts'

/** What a proof is in, and what it is compared with. */
export interface DpopRequest {
  /** The values of all `DPoP` header fields. */
  readonly dpop: readonly string[]
  readonly method: string
  /** The URL of the endpoint, derived from the settings: `Host` is the sender's own claim. */
  readonly endpoint: string
  /** Puts a nonce for the sender's next proof into the response, whatever the response will be (§8.2). */
  readonly supplyNonce: (nonce: string) => void
}

interface ProvenKey {
  /** The thumbprint of the key (RFC 7638). */
  readonly jkt: string
  /**
   * Accepts the proof, once (§11.1). Called when the rest of the request has been found good: a refused request uses up nothing, and
   * strangers cannot cause rows.
   * @param userId whose tokens the request is for; null if there is no user, or not yet
   * @throws {OAuthError} invalid_dpop_proof for a replay
   */
  consume(client: Client, userId: string | null): Promise<void>
}

/**
 * Returns null if the request has no proof.
 * @param accessToken the token that the request presents; the proof must be made for it
 * @throws {OAuthError} invalid_dpop_proof, use_dpop_nonce
 */
export type ProveKey = (request: DpopRequest, accessToken?: string) => Promise<ProvenKey | null>

export interface DpopDeps {
  readonly nonces: DpopNonces
  readonly singleUse: Pick<SingleUseStore, 'claim'>
  readonly writeLimiter: Pick<WriteLimiter, 'take'>
  readonly clock: Clock
  readonly config: Pick<Config, 'dpopNonce'>
}

export function createProveKey({ nonces, singleUse, writeLimiter, clock, config }: DpopDeps): ProveKey {
  return async (request, accessToken) => {
    const [text] = request.dpop
    if (text === undefined) return null
    const { invalidProof, verifyProof } = await import('./proof.ts')
    if (request.dpop.length > 1) throw invalidProof('repeated', 'the request has more than one DPoP header')
    const { method, endpoint: url } = request
    const proof = await verifyProof(text, { method, url, now: clock.now(), accessToken })
    checkNonce(proof.nonce, request)

    return {
      jkt: proof.jkt,
      async consume(client, userId) {
        charge(client, userId)
        // §11.1: in the context of the URI, as the proof names it, so that a replay has it too. Another key can sign the same `jti`. The
        // hash bounds the length of both.
        const { jkt, htu, jti } = proof
        const id = createHash('sha256').update(`dpop\0${jkt}\0${htu}\0${jti}`).digest('base64url')
        if (!(await singleUse.claim(id, Math.ceil(proof.acceptedUntil))))
          throw invalidProof('replayed', 'the DPoP proof was used before')
      },
    }
  }

  /** A nonce is checked even if none is required, because this server, or another node, may have supplied it (§8). */
  function checkNonce(nonce: string | undefined, { supplyNonce }: DpopRequest): void {
    if (nonce === undefined && !config.dpopNonce) return
    supplyNonce(nonces.current())
    if (nonce === undefined)
      throw new OAuthError('use_dpop_nonce', 'the DPoP proof needs the nonce of this response', {
        detail: 'dpop_no_nonce',
      })
    if (!nonces.isRecent(nonce))
      throw new OAuthError(
        'use_dpop_nonce',
        'the nonce of the DPoP proof is not a recent one of this server',
        {
          detail: 'dpop_unknown_nonce',
        },
      )
  }

  /**
   * A confidential client pays for its proofs. Anyone can be a public client, so its users pay; a pushed request without a user is limited
   * by IP prefix.
   */
  function charge(client: Client, userId: string | null): void {
    const isPublic = client.authMethod === 'none'
    if (isPublic && userId === null) return
    const wait =
      isPublic && userId !== null
        ? writeLimiter.take('userProof', userId)
        : writeLimiter.take('proof', client.id)
    if (wait === 0) return
    throw new OAuthError('temporarily_unavailable', 'too many DPoP proofs, try again later', {
      status: 429,
      retryAfter: wait,
    })
  }
}
