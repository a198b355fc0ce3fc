import type { Client } from '../store/contracts/clients.ts'
import type { Seconds } from '../system.ts'

/** Lifetime of an access token: what the client and the API say, the shorter where both do; else the default. */
export function accessTokenTtl(client: Client, apiTtl: Seconds | null, fallback: Seconds): Seconds {
  const own = [client.accessTokenTtl, apiTtl].filter((ttl) => ttl !== null)
  return own.length === 0 ? fallback : Math.min(...own)
}
