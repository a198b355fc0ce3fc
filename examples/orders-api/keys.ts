/** The issuer's public keys: found by discovery, cached in memory, refreshed in the background. */
import { createRemoteJWKSet, type JWTVerifyGetKey } from 'jose'

/** No request waits for a refresh, so it may happen often. */
const REFRESH_MS = 5 * 60_000
/**
 * How long keys are used without a refresh, while the issuer is down. It must not be longer than the issuer's
 * KEYTURN_VERIFIER_CACHE, because its rotations wait only for that long.
 */
const CACHE_MS = 24 * 3_600_000

/** Makes no request before the first token arrives, so the service starts even while the issuer is down. */
export function issuerKeys(issuer: string): JWTVerifyGetKey {
  let discovered: Promise<ReturnType<typeof createRemoteJWKSet>> | undefined

  async function discover() {
    const response = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    if (!response.ok) throw new Error(`the metadata request was answered with ${response.status}`)
    const metadata = (await response.json()) as { issuer?: string; jwks_uri?: string }
    // RFC 8414 §3.3: metadata with another issuer must not be used.
    if (metadata.issuer !== issuer || !metadata.jwks_uri)
      throw new Error('the metadata has another issuer or no jwks_uri')
    const keys = createRemoteJWKSet(new URL(metadata.jwks_uri), { cacheMaxAge: CACHE_MS })
    setInterval(() => keys.reload().catch(() => {}), REFRESH_MS).unref()
    return keys
  }

  return async (header, token) => {
    discovered ??= discover().catch((error) => {
      discovered = undefined
      throw error
    })
    return (await discovered)(header, token)
  }
}
