/**
 * The signature algorithms a ring can have, a table row each (RFC 7518 §3.1, RFC 8037). One key, one algorithm
 * (RFC 8725 §3.1). Nothing else in Keyturn branches on an algorithm's name.
 */
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  exportPKCS8,
  generateKeyPair,
  importPKCS8,
} from 'jose'
import type { PublicJwk } from '../store/contracts/ring.ts'

interface Algorithm {
  /** Members that make up the public key; everything else in a JWK is private or decoration (RFC 7638 §3.2). */
  readonly publicMembers: readonly string[]
  /** Only keys with a modulus have a choice of size. */
  readonly sized: boolean
}

const RSA: Algorithm = { publicMembers: ['kty', 'n', 'e'], sized: true }

export const algorithms = {
  RS256: RSA,
  PS256: RSA,
  ES256: { publicMembers: ['kty', 'crv', 'x', 'y'], sized: false },
  EdDSA: { publicMembers: ['kty', 'crv', 'x'], sized: false },
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

/** Never extractable: once in memory it can sign, but not be copied out by a bug. */
export function importPrivateKey(alg: string, pem: string): Promise<CryptoKey> {
  return importPKCS8(pem, alg)
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
