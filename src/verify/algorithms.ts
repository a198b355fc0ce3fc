/** The signature algorithms a verifier can be told to accept: a table row each (RFC 7518 §3.1, RFC 8037). */
import { constants, type KeyObject, verify } from 'node:crypto'

interface Algorithm {
  /** `kty` of the keys it is for (RFC 8725 §3.1: a key is for one algorithm). */
  readonly kty: string
  readonly crv?: string
  verify(data: Buffer, key: KeyObject, signature: Buffer): boolean
}

const pss = (hash: string, salt: number) => ({
  kty: 'RSA',
  verify: (data: Buffer, key: KeyObject, signature: Buffer) =>
    verify(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: salt }, signature),
})

export const algorithms = {
  RS256: { kty: 'RSA', verify: (data, key, signature) => verify('sha256', data, key, signature) },
  PS256: pss('sha256', 32),
  ES256: {
    kty: 'EC',
    crv: 'P-256',
    verify: (data, key, signature) => verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature),
  },
  EdDSA: {
    kty: 'OKP',
    crv: 'Ed25519',
    verify: (data, key, signature) => verify(null, data, key, signature),
  },
} as const satisfies Record<string, Algorithm>

export type AlgorithmName = keyof typeof algorithms

export function isAlgorithm(name: unknown): name is AlgorithmName {
  return typeof name === 'string' && Object.hasOwn(algorithms, name)
}

export function algorithm(name: AlgorithmName): Algorithm {
  return algorithms[name]
}
