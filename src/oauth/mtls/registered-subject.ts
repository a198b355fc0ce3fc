/** Whether a certificate has the subject that a client is registered with (RFC 8705 §2.1.2). Pure. */
import { isSameAddress } from '../../ip-address.ts'
import type { TlsSubject } from '../../store/contracts/clients.ts'
import type { CertificateAttribute, CertificateParts } from './certificate-parts.ts'
import { type NameAttribute, parseDistinguishedName, type Rdn } from './distinguished-name.ts'

type Comparable = Pick<CertificateParts, 'subject' | 'names'>

const MATCHES: Readonly<Record<TlsSubject['kind'], (value: string, parts: Comparable) => boolean>> = {
  subject_dn: (value, { subject }) => {
    const rdns = parseDistinguishedName(value)
    return (
      rdns !== null &&
      rdns.length === subject.length &&
      rdns.every((rdn, i) => isSameRdn(rdn, subject[i] ?? []))
    )
  },
  // RFC 4343: DNS names are case-insensitive. A wildcard is a name like any other.
  san_dns: (value, { names }) => names.dns.some((name) => name.toLowerCase() === value.toLowerCase()),
  // RFC 5280 §7.4 compares URIs exactly. The identity of a workload is one (SPIFFE X509-SVID §2).
  san_uri: (value, { names }) => names.uri.includes(value),
  san_ip: (value, { names }) => names.ip.some((name) => isSameAddress(name, value)),
  san_email: (value, { names }) => names.email.some((name) => canonicalEmail(name) === canonicalEmail(value)),
}

export const hasSubject = ({ kind, value }: TlsSubject, parts: Comparable): boolean =>
  MATCHES[kind](value, parts)

/**
 * The names are compared attribute by attribute and not as text, because one name has many texts. Values are compared exactly: an
 * authority may tell `Shop` and `shop` apart.
 */
function isSameRdn(registered: Rdn, presented: readonly CertificateAttribute[]): boolean {
  return (
    registered.length === presented.length &&
    registered.every((one) => presented.some((other) => isSameAttribute(one, other))) &&
    presented.every((one) => registered.some((other) => isSameAttribute(other, one)))
  )
}

const isSameAttribute = ({ type, value }: NameAttribute, presented: CertificateAttribute): boolean =>
  type === presented.type &&
  (typeof value === 'string' ? value === presented.text : value.der === presented.der)

/** RFC 5321 §2.4: only the domain is case-insensitive. */
function canonicalEmail(text: string): string {
  const at = text.lastIndexOf('@')
  return text.slice(0, at) + text.slice(at).toLowerCase()
}
