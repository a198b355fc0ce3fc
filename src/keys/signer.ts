/** Signs and verifies this server's own JWTs. The only importer of a private key's use. */
import { CompactSign, createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose'
import type { EpochSeconds } from '../system.ts'
import { algorithms } from './algorithms.ts'
import type { LiveRing } from './live-ring.ts'

export interface Signer {
  /**
   * A signed JWT (RFC 7519). Signing runs on the thread pool, not on the event loop.
   * @param typ media type of the token without `application/` (RFC 8725 §3.11), e.g. `at+jwt`
   */
  sign(typ: string, claims: JWTPayload & { exp: EpochSeconds }): Promise<string>

  /** The claims if this server signed it with a key still in the JWKS and it has not expired; otherwise null. */
  verify(
    token: string,
    expected: { typ: string; issuer: string; now: EpochSeconds },
  ): Promise<JWTPayload | null>
}

const encoder = new TextEncoder()

export function createSigner(ring: LiveRing): Signer {
  let keySet: { etag: string; get: ReturnType<typeof createLocalJWKSet> } | undefined

  function currentKeys() {
    const { body, etag } = ring.jwks()
    if (keySet?.etag !== etag) keySet = { etag, get: createLocalJWKSet(JSON.parse(body)) }
    return keySet.get
  }

  return {
    async sign(typ, claims) {
      const { kid, alg, key } = await ring.signingKey(claims.exp)
      return new CompactSign(encoder.encode(JSON.stringify(claims)))
        .setProtectedHeader({ alg, typ, kid })
        .sign(key)
    },

    async verify(token, { typ, issuer, now }) {
      try {
        const { payload } = await jwtVerify(token, currentKeys(), {
          typ,
          issuer,
          algorithms: Object.keys(algorithms),
          requiredClaims: ['exp', 'iat', 'sub', 'aud'],
          currentDate: new Date(now * 1000),
        })
        return payload
      } catch {
        return null
      }
    },
  }
}
