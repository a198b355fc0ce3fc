/** Signs and verifies this server's own JWTs. The only module that signs with a private key. */
import type { JWTPayload } from 'jose'
import * as errors from 'jose/errors'
import { createLocalJWKSet } from 'jose/jwks/local'
import { compactVerify } from 'jose/jws/compact/verify'
import { jwtVerify } from 'jose/jwt/verify'
import { importJWK } from 'jose/key/import'
import { ALGORITHM_NAMES, type AlgorithmName } from '../algorithm-names.ts'
import type { RingKey } from '../store/contracts/ring.ts'
import type { EpochSeconds } from '../system.ts'
import type { LiveRing } from './live-ring.ts'
import { signCompact } from './sign-compact.ts'

type VerifiedJwt =
  | { readonly valid: true; readonly claims: JWTPayload }
  /** Only a genuine token is reported as `expired`. */
  | { readonly valid: false; readonly problem: 'expired' | 'unknown' }

export interface Signer {
  /**
   * A signed JWT (RFC 7519). Signing runs on the thread pool, not on the event loop.
   * @param typ media type of the token without `application/` (RFC 8725 §3.11), e.g. `at+jwt`
   * @param alg the lane; by default the default lane
   * @throws {StoreUnavailable}
   */
  sign(typ: string, claims: JWTPayload & { exp: EpochSeconds }, alg?: string): Promise<string>

  /** A signed JWT without an expiry of its own. Its key stays in the JWKS until `until`. @throws {StoreUnavailable} */
  signUntil(typ: string, claims: JWTPayload, until: EpochSeconds, alg?: string): Promise<string>

  /** The algorithm of the default lane, for a token with claims that depend on its algorithm. @throws {StoreUnavailable} */
  defaultAlg(): Promise<AlgorithmName>

  /** Checks that this server signed the token with a key that is still in the JWKS, and that the token has not expired. */
  verify(token: string, expected: { typ: string; issuer: string; now: EpochSeconds }): Promise<VerifiedJwt>

  /**
   * The claims of an ID token that this server has signed, even if its key has left the JWKS since. They are a hint about the
   * user and prove nothing (OIDC Core §3.1.2.2, RP-Initiated Logout §2). null if the token is not such an ID token or its key was
   * revoked.
   */
  verifyHint(idToken: string): Promise<JWTPayload | null>
}

/** ID tokens have no type of their own (OIDC Core §2). Access tokens and logout tokens have one. */
const HINT_TYPE = 'JWT'

const MAX_HINT_LENGTH = 8192

const decoder = new TextDecoder('utf-8', { fatal: true })

export function createSigner(ring: LiveRing, issuer: string): Signer {
  let keySet: { etag: string; get: ReturnType<typeof createLocalJWKSet> } | undefined

  function currentKeys() {
    const { body, etag } = ring.jwks()
    if (keySet?.etag !== etag) keySet = { etag, get: createLocalJWKSet(JSON.parse(body)) }
    return keySet.get
  }

  const signUntil: Signer['signUntil'] = async (typ, claims, until, alg) =>
    signCompact(await ring.signingKey(until, alg), typ, JSON.stringify(claims))

  return {
    sign: (typ, claims, alg) => signUntil(typ, claims, claims.exp, alg),

    signUntil,

    defaultAlg: () => ring.defaultAlg(),

    async verify(token, { typ, issuer, now }) {
      try {
        const { payload } = await jwtVerify(token, currentKeys(), {
          typ,
          issuer,
          algorithms: [...ALGORITHM_NAMES],
          requiredClaims: ['exp', 'iat', 'sub', 'aud'],
          currentDate: new Date(now * 1000),
        })
        return { valid: true, claims: payload }
      } catch (error) {
        return { valid: false, problem: error instanceof errors.JWTExpired ? 'expired' : 'unknown' }
      }
    },

    async verifyHint(idToken) {
      if (idToken.length > MAX_HINT_LENGTH) return null
      try {
        const { payload, protectedHeader } = await compactVerify(
          idToken,
          ({ kid, alg }) => importHintKey(ring.ring().keys, kid, alg),
          { algorithms: [...ALGORITHM_NAMES] },
        )
        if (protectedHeader.typ !== HINT_TYPE) return null
        const claims = JSON.parse(decoder.decode(payload)) as JWTPayload
        const { iss, sub, aud, exp, iat } = claims
        const complete =
          typeof sub === 'string' && aud !== undefined && typeof exp === 'number' && typeof iat === 'number'
        return iss === issuer && complete ? claims : null
      } catch {
        return null
      }
    },
  }
}

/** Accepts retired keys, which are still in the ring, but not revoked keys, whose private key may be known to attackers. */
function importHintKey(keys: readonly RingKey[], kid: string | undefined, alg: string) {
  const key = keys.find(
    (candidate) => candidate.kid === kid && candidate.alg === alg && candidate.state !== 'revoked',
  )
  if (!key) throw new Error('no such key')
  return importJWK(key.publicJwk, key.alg)
}
