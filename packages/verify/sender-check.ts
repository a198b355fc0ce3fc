/**
 * Checks that the sender of a token holds the key and the certificate that the token is bound to (RFC 9449 §7.1, RFC 8705 §3). A bound token
 * that comes without its proof is always refused: it may have been stolen.
 */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { type Certificate, certificateThumbprint } from './certificate.ts'
import type { Confirmation } from './confirmation.ts'
import type { ResolvedDpop } from './dpop-options.ts'
import { createProofCheck } from './dpop-proof.ts'
import { VerifyError } from './errors.ts'
import { type ClaimProof, createReplayMemory, proofKey } from './replay-memory.ts'

/** What a request has to prove that its sender may use the token. */
export interface SenderProof {
  /** The only `DPoP` header of a request with the scheme `DPoP`. Leave it out for the scheme `Bearer`, whatever headers there are. */
  readonly proof?: string | undefined
  /** The method of the request; required with a proof. */
  readonly method?: string | undefined
  /** The absolute URL that the client has sent the request to; required with a proof. Several, if the service has several addresses. */
  readonly url?: string | readonly string[] | undefined
  /** The client's certificate, or a function that returns it, which is called only for tokens that are bound to one. */
  readonly certificate?: Certificate | (() => Certificate | undefined) | undefined
  /** Called with the nonce to send in `DPoP-Nonce`, if the client should use another one from now on (RFC 9449 §8.2). */
  readonly onNonce?: ((nonce: string) => void) | undefined
}

interface SenderRules {
  readonly requireBound: boolean
  readonly dpop: ResolvedDpop
  readonly leeway: number
  readonly timeoutMs: number
  /** Seconds since 1970. */
  readonly clock: () => number
}

export function createSenderCheck({ requireBound, dpop, leeway, timeoutMs, clock }: SenderRules) {
  const { nonces } = dpop
  const checkProof = createProofCheck({ ...dpop, leeway, clock })
  const claimShared = dpop.claim && withTimeout(dpop.claim, timeoutMs)
  const memory = createReplayMemory(dpop.maxProofs, clock)

  async function checkDpop(token: string, sender: SenderProof, jkt: string): Promise<void> {
    const { proof = '', method, url } = sender
    if (method === undefined || url === undefined) throw new TypeError('a proof needs a method and a url')
    const { jti, until, nonce } = checkProof({ proof, method, urls: [url].flat(), token, jkt })
    if (nonces) await checkNonce(nonce, sender)
    // Last, so that a proof that is refused for another reason uses no memory.
    if (!(await claim(proofKey(jkt, jti), until, jkt))) {
      throw new VerifyError('replayed_proof', 'the DPoP proof was used before')
    }
  }

  async function checkNonce(nonce: unknown, { onNonce }: SenderProof): Promise<void> {
    if (!nonces) return
    const current = await nonces.current()
    if (typeof nonce !== 'string' || !(await nonces.accepts(nonce))) {
      const message =
        nonce === undefined ? 'the DPoP proof needs a nonce' : 'the DPoP proof needs a newer nonce'
      throw new VerifyError('nonce_required', message, { nonce: current })
    }
    if (nonce !== current) onNonce?.(current)
  }

  async function claim(key: string, until: number, jkt: string): Promise<boolean> {
    try {
      return (
        (await (claimShared ? claimShared(key, Math.ceil(until)) : memory.claim(key, until, jkt))) === true
      )
    } catch (cause) {
      throw new VerifyError('replay_unknown', 'it is not known whether the DPoP proof was used before', {
        cause,
      })
    }
  }

  function checkCertificate(expected: string, { certificate }: SenderProof): void {
    const presented = certificateThumbprint(typeof certificate === 'function' ? certificate() : certificate)
    if (presented === undefined) {
      throw new VerifyError(
        'proof_required',
        'the token is bound to a certificate, and the request came without one',
      )
    }
    if (presented !== expected) {
      throw new VerifyError('wrong_key', 'the token is bound to another certificate')
    }
  }

  return {
    /** Whether there is something to check: nothing for a bearer token, unless every token must be bound. */
    applies: ({ cnf }: AccessTokenClaims, sender: SenderProof): boolean =>
      cnf !== undefined || sender.proof !== undefined || requireBound,

    /** @throws {VerifyError} not_bound, proof_required, wrong_key, invalid_proof, replayed_proof, nonce_required, replay_unknown */
    async check(token: string, { cnf }: AccessTokenClaims, sender: SenderProof): Promise<void> {
      const { jkt, 'x5t#S256': x5t }: Confirmation = cnf ?? {}
      if (cnf === undefined && requireBound) {
        throw new VerifyError('not_bound', 'the token is not bound to a key or a certificate')
      }
      if (x5t !== undefined) checkCertificate(x5t, sender)
      if (jkt === undefined && sender.proof !== undefined) {
        // RFC 9449 §7.1: with the scheme DPoP, the key of the proof must be the one that the token is bound to.
        throw new VerifyError('not_bound', 'the token is not bound to the key of a DPoP proof')
      }
      if (jkt === undefined) return
      if (sender.proof === undefined) {
        // §7.2: a resource server must refuse such a token if it comes as a bearer token.
        throw new VerifyError('proof_required', 'the token is bound to a key and needs a DPoP proof')
      }
      await checkDpop(token, sender, jkt)
    },

    /** How many proofs are remembered in this process. */
    get remembered() {
      return memory.size
    },
  }
}

/** A shared memory that does not answer must not hold requests for ever. */
function withTimeout(claim: ClaimProof, timeoutMs: number): ClaimProof {
  return async (key, until) => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`claim has not answered within ${timeoutMs} ms`)), timeoutMs)
    })
    try {
      return await Promise.race([claim(key, until), limit])
    } finally {
      clearTimeout(timer)
    }
  }
}
