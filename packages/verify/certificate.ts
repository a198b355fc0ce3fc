/** Client certificates: their thumbprint (RFC 8705 §3.1), and the header in which a proxy passes them on (RFC 9440). */
import { createHash, X509Certificate } from 'node:crypto'

/** A certificate: DER, PEM, or an object of `node:tls` or `node:crypto` that has the DER as `raw`. */
export type Certificate = Uint8Array | string | { readonly raw?: Uint8Array | undefined }

/** Returns the SHA-256 hash of the certificate's DER in base64url; undefined if there is no certificate. */
export function certificateThumbprint(certificate: Certificate | null | undefined): string | undefined {
  const der = derOf(certificate)
  return der?.length ? createHash('sha256').update(der).digest('base64url') : undefined
}

function derOf(certificate: Certificate | null | undefined): Uint8Array | undefined {
  if (certificate instanceof Uint8Array) return certificate
  if (typeof certificate === 'string') return derOfPem(certificate)
  // getPeerCertificate() returns an empty object if the client has sent no certificate, and null if the connection is closed.
  return certificate?.raw
}

function derOfPem(pem: string): Uint8Array | undefined {
  try {
    return new X509Certificate(pem).raw
  } catch {
    return undefined
  }
}

/** A certificate with its chain of headers is larger than this only by mistake. */
const MAX_HEADER_LENGTH = 16_384

/**
 * Returns the DER in a `Client-Cert` header: base64 between two colons (RFC 9440 §2.1, RFC 9651 §3.3.5). undefined if the header is
 * missing, repeated or malformed: then a token that is bound to a certificate is refused.
 */
export function clientCertOf(header: string | null | undefined): Uint8Array | undefined {
  if (typeof header !== 'string' || header.length > MAX_HEADER_LENGTH) return undefined
  const [, base64] = /^ *:([A-Za-z0-9+/]+={0,2}): *$/.exec(header) ?? []
  return base64 === undefined ? undefined : Buffer.from(base64, 'base64')
}
