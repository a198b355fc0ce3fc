/**
 * The certificate that a client has presented in a request, in the handshake of TLS or through a proxy. The client has proven that it
 * has the private key; everything else is still to be checked. Must not know how the certificate arrived.
 */
import { createHash, X509Certificate } from 'node:crypto'
import type { EpochSeconds } from '../../system.ts'

export interface PresentedCertificate {
  readonly certificate: X509Certificate
  /** `x5t#S256` (RFC 8705 §3.1). */
  readonly thumbprint: string
  /** What the client sent besides it, usually the certificates of intermediate authorities, in any order. */
  readonly others: readonly X509Certificate[]
  /** Whether a proxy passed it on. */
  readonly fromProxy: boolean
}

/** Certificates of servers and people have 1 to 3 kilobytes. */
export const MAX_CERTIFICATE_BYTES = 8192
/** Real chains have one or two intermediates. */
export const MAX_OTHERS = 5

/** null if a text is not exactly one certificate in DER, or there are too many of them. */
export function presentedCertificate(
  der: Uint8Array,
  others: readonly Uint8Array[],
  fromProxy: boolean,
): PresentedCertificate | null {
  const certificate = parseCertificate(der)
  if (!certificate || others.length > MAX_OTHERS) return null
  const parsed = others.map(parseCertificate).filter((one) => one !== null)
  if (parsed.length < others.length) return null
  return { certificate, thumbprint: thumbprintOf(certificate), others: parsed, fromProxy }
}

/** RFC 8705 §3.1: the SHA-256 of the DER. */
const thumbprintOf = ({ raw }: X509Certificate): string =>
  createHash('sha256').update(raw).digest('base64url')

export function isValidAt(certificate: X509Certificate, now: EpochSeconds): boolean {
  return certificate.validFromDate.getTime() <= now * 1000 && now * 1000 <= certificate.validToDate.getTime()
}

export function parseCertificate(der: Uint8Array): X509Certificate | null {
  if (der.length > MAX_CERTIFICATE_BYTES) return null
  try {
    const certificate = new X509Certificate(der)
    // Node.js also reads PEM, and ignores what follows a certificate.
    return certificate.raw.equals(der) ? certificate : null
  } catch {
    return null
  }
}
