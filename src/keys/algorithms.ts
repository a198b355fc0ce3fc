/**
 * The signature algorithms a ring can have, a table row each (RFC 7518 §3.1, RFC 8037). One key, one algorithm
 * (RFC 8725 §3.1). Nothing else in Keyturn branches on an algorithm's name.
 */
import { constants, createPrivateKey, type SigningOptions, sign } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, exportPKCS8, generateKeyPair } from 'jose'
import type { PublicJwk } from '../store/contracts/ring.ts'

interface Algorithm {
  /** Members that make up the public key; everything else in a JWK is private or decoration (RFC 7638 §3.2). */
  readonly publicMembers: readonly string[]
  /** Only keys with a modulus have a choice of size. */
  readonly sized: boolean
  readonly signing: SigningOptions & {
    /** null where the algorithm has its own. */
    readonly hash: string | null
  }
}

const RSA = { publicMembers: ['kty', 'n', 'e'], sized: true }
const { RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST } = constants

export const algorithms = {
  RS256: { ...RSA, signing: { hash: 'sha256' } },
  PS256: {
    ...RSA,
    signing: { hash: 'sha256', padding: RSA_PKCS1_PSS_PADDING, saltLength: RSA_PSS_SALTLEN_DIGEST },
  },
  ES256: {
    publicMembers: ['kty', 'crv', 'x', 'y'],
    sized: false,
    signing: { hash: 'sha256', dsaEncoding: 'ieee-p1363' },
  },
  EdDSA: { publicMembers: ['kty', 'crv', 'x'], sized: false, signing: { hash: null } },
} as const satisfies Record<string, Algorithm>

export type AlgorithmName = keyof typeof algorithms

export const DEFAULT_ALGORITHM: AlgorithmName = 'RS256'
export const DEFAULT_BITS = 2048
export const RSA_BITS: readonly number[] = [2048, 3072, 4096]

export interface KeyPair {
  /** RFC 7638 thumbprint: the same key always has the same name, on every node. */
  readonly kid: string
  readonly alg: AlgorithmName
  readonly publicJwk: PublicJwk
  /** PKCS#8, PEM. */
  readonly privatePem: string
}

/** Generated off the event loop; RSA of 4096 bits takes seconds. */
export async function generateKey(alg: AlgorithmName, bits: number = DEFAULT_BITS): Promise<KeyPair> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { modulusLength: bits, extractable: true })
  const publicJwk = pickPublic(alg, await exportJWK(publicKey))
  return {
    kid: await calculateJwkThumbprint(publicJwk),
    alg,
    publicJwk,
    privatePem: await exportPKCS8(privateKey),
  }
}

export type GenerateKey = typeof generateKey

/** A private key that can sign and do nothing else: no bug can copy it out, or show it. */
export type Sign = (input: Buffer) => Promise<Buffer>

/**
 * Signs on the thread pool, not on the event loop. Not through WebCrypto, as jose does: that asks a tenth more of a token
 * request than the same OpenSSL called directly.
 */
export function importPrivateKey(alg: AlgorithmName, pem: string): Sign {
  const { hash, ...options } = algorithms[alg].signing
  const privateKey = createPrivateKey(pem)
  // Node takes several microseconds to find the key in an object of options, so there is one only where it says something.
  const key = Object.keys(options).length > 0 ? { key: privateKey, ...options } : privateKey
  return (input) =>
    new Promise((resolve, reject) => {
      sign(hash, input, key, (error, signature) => (error ? reject(error) : resolve(signature)))
    })
}

/** Size of an RSA key, so that a ring's next key is made like its active one; undefined for curves. */
export function bitsOf(publicJwk: PublicJwk): number | undefined {
  return publicJwk.n === undefined ? undefined : Buffer.from(publicJwk.n, 'base64url').length * 8
}

export function isAlgorithm(name: string): name is AlgorithmName {
  return Object.hasOwn(algorithms, name)
}

function pickPublic(alg: AlgorithmName, jwk: object): PublicJwk {
  const members = algorithms[alg].publicMembers.map((name) => [name, (jwk as Record<string, string>)[name]])
  return Object.fromEntries(members) as PublicJwk
}
