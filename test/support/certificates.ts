/** Certificates that are made in the test: authorities, certificates of servers and clients, and self-signed ones. */
import 'reflect-metadata'
import { createHash, KeyObject, randomBytes, webcrypto } from 'node:crypto'
import {
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonNameParams,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { JWK } from 'jose'

export { Extension }

type CryptoKeyPair = webcrypto.CryptoKeyPair

cryptoProvider.set(webcrypto as never)

export interface CertificateOptions {
  /** The RDNs in the order of the certificate: the reverse of RFC 4514. */
  readonly subject?: JsonNameParams
  readonly dns?: readonly string[]
  readonly uri?: readonly string[]
  readonly ip?: readonly string[]
  readonly email?: readonly string[]
  /** Default: an hour ago. */
  readonly notBefore?: Date
  /** Default: in an hour. */
  readonly notAfter?: Date
  /** What the key may be used for (RFC 5280 §4.2.1.12). Default: servers and clients of TLS; empty: the extension is absent. */
  readonly usages?: readonly ('server' | 'client')[]
  /** Default: P-256. */
  readonly algorithm?: 'P-256' | 'P-384' | 'Ed25519' | 'RSA'
  readonly hash?: 'SHA-1' | 'SHA-256'
  readonly extensions?: readonly Extension[]
  /** Another certificate with the same key. */
  readonly keys?: CryptoKeyPair
}

export interface TestCertificate {
  /** The certificate in PEM, followed by those of intermediate authorities. */
  readonly cert: string
  /** The private key, PKCS#8 in PEM. */
  readonly key: string
  readonly der: Buffer
  /** The member of `x5c` in a JWK (RFC 7517 §4.7), and the value between the colons of `Client-Cert` (RFC 9440 §2.1). */
  readonly base64: string
  /** `x5t#S256` (RFC 8705 §3.1). */
  readonly thumbprint: string
  /** The public key; with `x5c`. */
  readonly jwk: JWK
  readonly keys: CryptoKeyPair
}

export interface TestAuthority extends TestCertificate {
  issue(options?: CertificateOptions): Promise<TestCertificate>
  /** An authority whose certificate this one has issued. */
  intermediate(options?: CertificateOptions & { readonly pathLength?: number }): Promise<TestAuthority>
}

const ALGORITHMS = {
  'P-256': { name: 'ECDSA', namedCurve: 'P-256' },
  'P-384': { name: 'ECDSA', namedCurve: 'P-384' },
  Ed25519: { name: 'Ed25519' },
  RSA: {
    name: 'RSASSA-PKCS1-v1_5',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: 'SHA-256',
  },
} as const

const HOUR_MS = 3_600_000

interface Issuer {
  readonly subject: JsonNameParams
  readonly keys: CryptoKeyPair
  /** The certificates to append, in PEM. */
  readonly chain: string
}

/** A root authority. */
export async function testAuthority(options: CertificateOptions = {}): Promise<TestAuthority> {
  const subject = options.subject ?? [{ CN: [`Test CA ${randomBytes(4).toString('hex')}`] }]
  const made = await certificate({ ...options, subject }, null, authorityExtensions())
  return authority(made, subject, '')
}

/** A certificate that its own key has signed, and that is not an authority. */
export const selfSigned = (options: CertificateOptions = {}): Promise<TestCertificate> =>
  certificate(options, null, leafExtensions(options))

function authority(made: TestCertificate, subject: JsonNameParams, chain: string): TestAuthority {
  const issuer: Issuer = { subject, keys: made.keys, chain }
  return {
    ...made,
    issue: (options = {}) => certificate(options, issuer, leafExtensions(options)),
    async intermediate(options = {}) {
      const name = options.subject ?? [{ CN: [`Intermediate ${randomBytes(4).toString('hex')}`] }]
      const extensions = authorityExtensions(options.pathLength)
      const between = await certificate({ ...options, subject: name }, issuer, extensions)
      return authority(between, name, between.cert)
    },
  }
}

const authorityExtensions = (pathLength?: number): Extension[] => [
  new BasicConstraintsExtension(true, pathLength, true),
  new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
]

function leafExtensions(options: CertificateOptions): Extension[] {
  const { dns = [], uri = [], ip = [], email = [], usages = ['server', 'client'] } = options
  const names = [
    ...dns.map((value) => ({ type: 'dns' as const, value })),
    ...uri.map((value) => ({ type: 'url' as const, value })),
    ...ip.map((value) => ({ type: 'ip' as const, value })),
    ...email.map((value) => ({ type: 'email' as const, value })),
  ]
  const purposes = usages.map((usage) => ExtendedKeyUsage[`${usage}Auth`])
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    ...(purposes.length > 0 ? [new ExtendedKeyUsageExtension(purposes)] : []),
    ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
  ]
}

async function certificate(
  options: CertificateOptions,
  issuer: Issuer | null,
  extensions: readonly Extension[],
): Promise<TestCertificate> {
  const { algorithm = 'P-256', hash = 'SHA-256' } = options
  const subject = options.subject ?? [{ CN: [`test ${randomBytes(4).toString('hex')}`] }]
  const keys =
    options.keys ??
    ((await webcrypto.subtle.generateKey(ALGORITHMS[algorithm], true, ['sign', 'verify'])) as CryptoKeyPair)
  const signingKey = (issuer?.keys ?? keys).privateKey
  const made = await X509CertificateGenerator.create({
    serialNumber: randomBytes(8).toString('hex'),
    subject: new Name(subject),
    issuer: new Name(issuer?.subject ?? subject),
    notBefore: options.notBefore ?? new Date(Date.now() - HOUR_MS),
    notAfter: options.notAfter ?? new Date(Date.now() + HOUR_MS),
    publicKey: keys.publicKey as never,
    signingKey: signingKey as never,
    signingAlgorithm: { ...signingKey.algorithm, hash },
    extensions: [...extensions, ...(options.extensions ?? [])],
  })
  const der = Buffer.from(made.rawData)
  const base64 = der.toString('base64')
  const cert = `${made.toString('pem')}\n${issuer?.chain ?? ''}`
  return {
    cert,
    key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString(),
    der,
    base64,
    thumbprint: createHash('sha256').update(der).digest('base64url'),
    jwk: { ...(publicJwk(keys) as JWK), x5c: [base64] },
    keys,
  }
}

const publicJwk = ({ publicKey }: CryptoKeyPair) => KeyObject.from(publicKey).export({ format: 'jwk' })
