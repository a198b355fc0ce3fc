/** Finds out which server answers at the address in the settings. Must not know the store. */
import type { Config } from '../config/load.ts'
import { OPENID_METADATA } from '../http/routes.ts'
import { hostAndPort } from '../ip-address.ts'
import { issuerPath } from '../issuer-path.ts'

type Address = Pick<Config, 'issuer' | 'host' | 'port'>

const TIMEOUT_MS = 10_000

/** Where this machine reaches a server that listens on this host and port. */
export function localUrl({ host, port }: Pick<Config, 'host' | 'port'>): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${hostAndPort(reachable, port)}`
}

/** The issuer in the metadata at the local address (OpenID Connect Discovery §4.3); null if there is no such server. */
export async function localIssuer(address: Address): Promise<string | null> {
  const url = localUrl(address) + issuerPath(address.issuer) + OPENID_METADATA
  try {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) })
    const { issuer } = (await response.json()) as { issuer?: unknown }
    return typeof issuer === 'string' ? issuer : null
  } catch {
    return null
  }
}
