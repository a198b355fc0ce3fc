/** The issuer's public keys: found by discovery, kept in memory, refreshed in the background. */
import { createRemoteJWKSet, type JWTVerifyGetKey } from 'jose'

/** Requests never wait for a refresh, so it may happen often. */
const REFRESH_MS = 5 * 60_000
/**
 * How long the keys go on without one, while the issuer is down. It must not be longer than the issuer's
 * KEYTURN_VERIFIER_CACHE, which is the longest hold that its rotations wait for.
 */
const HOLD_MS = 24 * 3_600_000

/** Asks nobody until the first token comes, so this service starts even while the issuer is down. */
export function issuerKeys(issuer: string): JWTVerifyGetKey {
  let found: Promise<ReturnType<typeof createRemoteJWKSet>> | undefined

  async function discover() {
    const response = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    if (!response.ok) throw new Error(`discovery answered ${response.status}`)
    const metadata = (await response.json()) as { issuer?: string; jwks_uri?: string }
    // RFC 8414 §3.3: a document that speaks for somebody else must not be believed.
    if (metadata.issuer !== issuer || !metadata.jwks_uri) throw new Error('discovery names another issuer')
    const keys = createRemoteJWKSet(new URL(metadata.jwks_uri), { cacheMaxAge: HOLD_MS })
    setInterval(() => keys.reload().catch(() => {}), REFRESH_MS).unref()
    return keys
  }

  return async (header, token) => {
    found ??= discover().catch((error) => {
      found = undefined
      throw error
    })
    return (await found)(header, token)
  }
}
