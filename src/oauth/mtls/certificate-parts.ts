/**
 * The parts of a certificate that Node.js shows only as text, or not at all. Loaded with the first certificate that must be checked,
 * because the parser needs 15 megabytes. Must not know what the parts are compared with.
 */
import type { X509Certificate } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import {
  BasicConstraints,
  Certificate,
  id_ce_basicConstraints,
  id_ce_subjectAltName,
  type Name,
  SubjectAlternativeName,
} from '@peculiar/asn1-x509'

/** An attribute of a name in a certificate. */
export interface CertificateAttribute {
  readonly type: string
  /** null if the value is no text. */
  readonly text: string | null
  /** The value in DER, as hexadecimal digits. */
  readonly der: string
}

export interface CertificateParts {
  readonly subject: readonly (readonly CertificateAttribute[])[]
  readonly names: {
    readonly dns: readonly string[]
    readonly uri: readonly string[]
    readonly ip: readonly string[]
    readonly email: readonly string[]
  }
  /** OIDs. */
  readonly extensions: readonly string[]
  readonly criticalExtensions: readonly string[]
  /** How many intermediates may follow; null without a limit. */
  readonly pathLength: number | null
  readonly signatureAlgorithm: { readonly oid: string; readonly parameters: string }
}

/** Throws if the certificate is malformed in a way that Node.js does not notice. */
export function parseParts({ raw }: X509Certificate): CertificateParts {
  const { tbsCertificate, signatureAlgorithm } = AsnConvert.parse(raw, Certificate)
  const extensions = [...(tbsCertificate.extensions ?? [])]
  const find = (oid: string) => extensions.find(({ extnID }) => extnID === oid)?.extnValue.buffer
  const names = find(id_ce_subjectAltName)
  const constraints = find(id_ce_basicConstraints)
  const general = names ? [...AsnConvert.parse(names, SubjectAlternativeName)] : []
  const valuesOf = <K extends keyof (typeof general)[number]>(kind: K) =>
    general.flatMap((name) => (typeof name[kind] === 'string' ? [name[kind] as string] : []))
  return {
    subject: attributesOf(tbsCertificate.subject),
    names: {
      dns: valuesOf('dNSName'),
      uri: valuesOf('uniformResourceIdentifier'),
      ip: valuesOf('iPAddress'),
      email: valuesOf('rfc822Name'),
    },
    extensions: extensions.map(({ extnID }) => extnID),
    criticalExtensions: extensions.filter(({ critical }) => critical).map(({ extnID }) => extnID),
    pathLength: constraints
      ? (AsnConvert.parse(constraints, BasicConstraints).pathLenConstraint ?? null)
      : null,
    signatureAlgorithm: {
      oid: signatureAlgorithm.algorithm,
      parameters: hex(signatureAlgorithm.parameters ?? new ArrayBuffer(0)),
    },
  }
}

const attributesOf = (name: Name): CertificateAttribute[][] =>
  [...name].map((rdn) =>
    [...rdn].map(({ type, value }) => ({
      type,
      text: value.anyValue ? null : value.toString(),
      der: hex(AsnConvert.serialize(value)),
    })),
  )

const hex = (bytes: ArrayBuffer): string => Buffer.from(bytes).toString('hex')
