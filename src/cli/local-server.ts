/** Finds out which server answers at the address in the settings. Must not know the store. */
import type { Config } from '../config/load.ts'
import { OPENID_METADATA } from '../http/routes.ts'
import { hostAndPort } from '../ip-address.ts'
import { issuerPath } from '../issuer-path.ts'
import { readText } from '../text.ts'

type Address = Pick<Config, 'issuer' | 'host' | 'port' | 'tlsCertFile'>

const TIMEOUT_MS = 10_000

/** Where this machine reaches a server that listens on this host and port. */
export function localUrl({ host, port, tlsCertFile }: Omit<Address, 'issuer'>): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `${tlsCertFile === null ? 'http' : 'https'}://${hostAndPort(reachable, port)}`
}

/** Sends a GET to the server at the local address. Rejects as `fetch` does. */
export function fetchLocal(address: Omit<Address, 'issuer'>, path: string): Promise<Response> {
  const url = localUrl(address) + path
  return address.tlsCertFile === null
    ? fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) })
    : fetchWithCertificate(url, address.tlsCertFile)
}

/**
 * The server's certificate has the name of the issuer and not of this address, and its authority may be unknown to this machine. So the
 * certificate itself is what is trusted, whatever its name.
 */
async function fetchWithCertificate(url: string, certFile: string): Promise<Response> {
  const { get } = await import('node:https')
  const options = {
    ca: readText(certFile),
    allowPartialTrustChain: true,
    checkServerIdentity: () => undefined,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }
  return new Promise((resolve, reject) => {
    const failed = (cause: unknown) => reject(new TypeError('fetch failed', { cause }))
    const request = get(url, options, (response) => {
      const chunks: Buffer[] = []
      response
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .once('error', failed)
        .once('end', () =>
          resolve(new Response(Buffer.concat(chunks), { status: response.statusCode ?? 500 })),
        )
    })
    request.once('error', failed)
  })
}

/** The issuer in the metadata at the local address (OpenID Connect Discovery §4.3); null if there is no such server. */
export async function localIssuer(address: Address): Promise<string | null> {
  try {
    const response = await fetchLocal(address, issuerPath(address.issuer) + OPENID_METADATA)
    const { issuer } = (await response.json()) as { issuer?: unknown }
    return typeof issuer === 'string' ? issuer : null
  } catch {
    return null
  }
}
