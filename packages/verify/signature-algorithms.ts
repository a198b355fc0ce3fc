/** The signature algorithms that a verifier can accept, one table row each (RFC 7518 §3.1, RFC 8037, RFC 9864). */
import { constants, createVerify, type KeyObject, verify } from 'node:crypto'

interface SignatureAlgorithm {
  /** The `kty` and `crv` that a key must have to be used with this algorithm. */
  readonly kty: string
  readonly crv?: string
  verify(data: Buffer, key: KeyObject, signature: Buffer): boolean
}

// createVerify() and not the one-shot verify(), which is slower.
const rsa = (hash: string): SignatureAlgorithm => ({
  kty: 'RSA',
  verify: (data, key, signature) => createVerify(hash).update(data).verify(key, signature),
})

const pss = (hash: string, saltLength: number): SignatureAlgorithm => ({
  kty: 'RSA',
  verify: (data, key, signature) =>
    createVerify(hash)
      .update(data)
      .verify({ key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature),
})

const ecdsa = (hash: string, crv: string): SignatureAlgorithm => ({
  kty: 'EC',
  crv,
  verify: (data, key, signature) =>
    createVerify(hash).update(data).verify({ key, dsaEncoding: 'ieee-p1363' }, signature),
})

const ed25519: SignatureAlgorithm = {
  kty: 'OKP',
  crv: 'Ed25519',
  verify: (data, key, signature) => verify(null, data, key, signature),
}

const SIGNATURE_ALGORITHMS = {
  RS256: rsa('sha256'),
  RS384: rsa('sha384'),
  RS512: rsa('sha512'),
  PS256: pss('sha256', 32),
  PS384: pss('sha384', 48),
  PS512: pss('sha512', 64),
  ES256: ecdsa('sha256', 'P-256'),
  ES384: ecdsa('sha384', 'P-384'),
  ES512: ecdsa('sha512', 'P-521'),
  EdDSA: ed25519,
  Ed25519: ed25519,
} as const satisfies Record<string, SignatureAlgorithm>

/** The JOSE name of a signature algorithm. */
export type AlgorithmName = keyof typeof SIGNATURE_ALGORITHMS

export function isAlgorithmName(name: unknown): name is AlgorithmName {
  return typeof name === 'string' && Object.hasOwn(SIGNATURE_ALGORITHMS, name)
}

export function signatureAlgorithm(name: AlgorithmName): SignatureAlgorithm {
  return SIGNATURE_ALGORITHMS[name]
}
