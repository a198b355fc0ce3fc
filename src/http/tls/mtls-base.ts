import type { Config } from '../../config/load.ts'
import { issuerPath } from '../../issuer-path.ts'

/**
 * What the URLs of the endpoints begin with at the port that asks for client certificates (RFC 8705 §5): the issuer's host with that
 * port. null if there is no such port.
 */
export function mtlsBase({ issuer, mtlsPort }: Pick<Config, 'issuer' | 'mtlsPort'>): string | null {
  if (mtlsPort === null) return null
  const url = new URL(issuer)
  url.port = String(mtlsPort)
  return url.origin + issuerPath(issuer)
}
