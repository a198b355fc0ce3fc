/**
 * The signature algorithms that a lane of the ring can have, one table row each (RFC 7518 §3.1, RFC 8037). A key is used with one
 * algorithm (RFC 8725 §3.1). No other code branches on the algorithm of a ring key. Algorithms of clients' keys are in
 * oauth/client-registration/client-jwks.ts, those of verifiers in packages/verify.
 */
import { constants, createPrivateKey, type SigningOptions, sign } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint'
import { exportJWK, exportPKCS8 } from 'jose/key/export'
import { generateKeyPair } from 'jose/key/generate/keypair'
import type { AlgorithmName } from '../algorithm-names.ts'
import type { PublicJwk } from '../store/contracts/ring.ts'
import { joseSignature } from './ecdsa-signature.ts'

interface Algorithm {
  /** The members of the JWK that make up the public key (RFC 7638 §3.2). All other members are dropped. */
  readonly publicMembers: readonly string[]
  /** Whether keys of different sizes can be generated. */
  readonly sized: boolean
  readonly signing: SigningOptions & {
    /** null if the algorithm defines its own hash. */
    readonly hash: string | null
  }
  /** What a JWS contains, from what OpenSSL makes. By default they are equal. */
  readonly encode?: (signature: Buffer) => Buffer
  /** The hash function of `at_hash` in ID tokens (OIDC Core §3.1.3.6). */
  readonly atHash: 'sha256' | 'sha384' | 'sha512'
}

type Hash = 'sha256' | 'sha384' | 'sha512'

/** RSASSA-PKCS1-v1_5 (RFC 7518 §3.3). */
const rs = <H extends Hash>(hash: H) => ({
  publicMembers: ['kty', 'n', 'e'],
  sized: true,
  signing: { hash },
  atHash: hash,
})

/** RSASSA-PSS, with a salt as long as the hash (RFC 7518 §3.5). */
const ps = <H extends Hash>(hash: H) => ({
  ...rs(hash),
  signing: { hash, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
})

/** ECDSA (RFC 7518 §3.4). @param size bytes of each half of a signature */
const es = <H extends Hash>(hash: H, size: number) => ({
  publicMembers: ['kty', 'crv', 'x', 'y'],
  sized: false,
  signing: { hash },
  encode: (signature: Buffer) => joseSignature(signature, size),
  atHash: hash,
})

export const algorithms = {
  RS256: rs('sha256'),
  RS384: rs('sha384'),
  RS512: rs('sha512'),
  PS256: ps('sha256'),
  PS384: ps('sha384'),
  PS512: ps('sha512'),
  ES256: es('sha256', 32),
  ES384: es('sha384', 48),
  ES512: es('sha512', 66),
  /** Ed25519, which has this name in JOSE (RFC 8037 §3.1). */
  EdDSA: { publicMembers: ['kty', 'crv', 'x'], sized: false, signing: { hash: null }, atHash: 'sha512' },
} as const satisfies Record<AlgorithmName, Algorithm>

export type { AlgorithmName }

export const DEFAULT_ALGORITHM: AlgorithmName = 'RS256'
export const DEFAULT_BITS = 2048
export const RSA_BITS: readonly number[] = [2048, 3072, 4096]

export interface KeyPair {
  /** RFC 7638 thumbprint, so a key has the same id on every node. */
  readonly kid: string
  readonly alg: AlgorithmName
  readonly publicJwk: PublicJwk
  /** PKCS#8, PEM. */
  readonly privatePem: string
}

/** Generates the key off the event loop, because RSA with 4096 bits takes seconds. */
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

/** Signs with a private key. The key is not reachable from outside, so no bug can export or log it. */
export type Sign = (input: Buffer) => Promise<Buffer>

/**
 * Signs on the thread pool, not on the event loop. It calls OpenSSL directly and not through WebCrypto as jose does, because
 * WebCrypto makes a token request about a tenth more expensive.
 */
export function importPrivateKey(alg: AlgorithmName, pem: string): Sign {
  const { signing, encode = (signature) => signature }: Algorithm = algorithms[alg]
  const { hash, ...options } = signing
  const privateKey = createPrivateKey(pem)
  // Node.js takes several microseconds longer for an object with options, so that form is used only if there are options.
  const key = Object.keys(options).length > 0 ? { key: privateKey, ...options } : privateKey
  return (input) =>
    new Promise((resolve, reject) => {
      sign(hash, input, key, (error, signature) => (error ? reject(error) : resolve(encode(signature))))
    })
}

/** The size of an RSA key, so that its successor gets the same size. undefined for elliptic curves. */
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
