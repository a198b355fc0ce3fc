/**
 * Whether an authority that this server trusts has issued a client's certificate (RFC 5280 §6). One rule for certificates of a TLS
 * connection and for those that a proxy passes on. What is not understood is refused. Must not know clients.
 */
import type { KeyObject, X509Certificate } from 'node:crypto'
import type { EpochSeconds } from '../../system.ts'
import { type CertificateParts, parseParts } from './certificate-parts.ts'
import { isValidAt, type PresentedCertificate } from './presented-certificate.ts'

/** Between the certificate of the client and that of the authority. */
const MAX_INTERMEDIATES = 5
/** Certificates that look as if they had issued each other must not cause many verifications. */
const MAX_VERIFICATIONS = 20

/**
 * The extensions that are checked, or that limit nothing here: basic constraints, key usage, extended key usage, alternative names,
 * policies.
 */
const UNDERSTOOD = ['2.5.29.19', '2.5.29.15', '2.5.29.37', '2.5.29.17', '2.5.29.32']
/**
 * RFC 5280 §4.2.1.10: name constraints must be critical. Authorities exist that mark them as not critical, for old software. They limit
 * the names that an authority may issue, and these names say who a client is, so they are never ignored.
 */
const NAME_CONSTRAINTS = '2.5.29.30'

/** SHA-256, SHA-384 and SHA-512 with RSA; the same with ECDSA; Ed25519; Ed448. */
const SIGNATURES = [
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.3.101.112',
  '1.3.101.113',
]
const RSASSA_PSS = '1.2.840.113549.1.1.10'
/**
 * The parameters of RSASSA-PSS in DER, up to the OID of the hash: SHA-256, SHA-384 or SHA-512. If it is not there, the hash is SHA-1
 * (RFC 4055 §3.1). The hash of the mask, which follows, does not matter.
 */
const PSS_WITH_SHA_2 = /^30..a0..30..060960864801650304020[123]/

const CLIENT_AUTH = ['1.3.6.1.5.5.7.3.2', '2.5.29.37.0']

const MIN_RSA_BITS = 2048
const MAX_RSA_BITS = 8192

export function isIssuedBy(
  authorities: readonly X509Certificate[],
  { certificate, others }: PresentedCertificate,
  now: EpochSeconds,
): boolean {
  let verifications = 0

  /** @param intermediates how many certificates are between this one and the client's */
  function isTrusted(subject: X509Certificate, intermediates: number): boolean {
    if (!isAcceptable(subject, now)) return false
    const issuers = (candidates: readonly X509Certificate[]) =>
      candidates.filter((issuer) => {
        if (!issuer.ca || !subject.checkIssued(issuer) || !isUsableKey(issuer.publicKey)) return false
        const { pathLength } = partsOf(issuer) ?? { pathLength: -1 }
        if (pathLength !== null && intermediates > pathLength) return false
        verifications += 1
        return verifications <= MAX_VERIFICATIONS && subject.verify(issuer.publicKey)
      })
    if (issuers(authorities).some((authority) => isAcceptable(authority, now))) return true
    if (intermediates === MAX_INTERMEDIATES) return false
    return issuers(others.filter((other) => other !== subject)).some((issuer) =>
      isTrusted(issuer, intermediates + 1),
    )
  }

  // RFC 5280 §4.2.1.12: without the extension, a key may be used for everything.
  const usages = certificate.keyUsage as readonly string[] | undefined
  if (usages && !usages.some((usage) => CLIENT_AUTH.includes(usage))) return false
  return isUsableKey(certificate.publicKey) && isTrusted(certificate, 0)
}

function isAcceptable(certificate: X509Certificate, now: EpochSeconds): boolean {
  if (!isValidAt(certificate, now)) return false
  const parts = partsOf(certificate)
  if (!parts) return false
  const { oid, parameters } = parts.signatureAlgorithm
  const isStrong = SIGNATURES.includes(oid) || (oid === RSASSA_PSS && PSS_WITH_SHA_2.test(parameters))
  return (
    isStrong &&
    !parts.extensions.includes(NAME_CONSTRAINTS) &&
    parts.criticalExtensions.every((extension) => UNDERSTOOD.includes(extension))
  )
}

const parsed = new WeakMap<X509Certificate, CertificateParts | null>()

/** null for a malformed certificate. */
export function partsOf(certificate: X509Certificate): CertificateParts | null {
  let parts = parsed.get(certificate)
  if (parts === undefined) {
    try {
      parts = parseParts(certificate)
    } catch {
      parts = null
    }
    parsed.set(certificate, parts)
  }
  return parts
}

function isUsableKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  if (asymmetricKeyType !== 'rsa' && asymmetricKeyType !== 'rsa-pss') return asymmetricKeyType !== 'dsa'
  const bits = asymmetricKeyDetails?.modulusLength ?? 0
  return bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS
}
