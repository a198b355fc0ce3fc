import type { EpochSeconds } from '../../system.ts'

/**
 * The states of a signing key: `next` (published, does not sign yet) → `active` (signs) → `retiring` (published until its last
 * token has expired) → `retired`. A key can become `revoked` from any state.
 */
export type KeyState = 'next' | 'active' | 'retiring' | 'retired' | 'revoked'

/** The public half as a JWK without `kid`, `use`, `alg` (RFC 7517 §4; RFC 7518 §6). */
export type PublicJwk = Readonly<Record<string, string>> & { readonly kty: string }

export interface RingKey {
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string
  /** JWS algorithm name (RFC 7518 §3.1), such as RS256. */
  readonly alg: string
  readonly state: KeyState
  readonly publicJwk: PublicJwk
  /** The private key, encrypted with the master key; null once the key has stopped signing. */
  readonly encryptedPrivateKey: string | null
  readonly createdAt: EpochSeconds
  /** Every JWKS that is served from then on contains the key. */
  readonly publishedAt: EpochSeconds
  /** The version of the ring that published the key. 1: no JWKS without the key was ever served. */
  readonly publishedIn: number
  /** When the key became active. */
  readonly signsFrom: EpochSeconds | null
  /** When the key stopped signing. */
  readonly stoppedAt: EpochSeconds | null
  /** No token that was signed with the key expires later; 0 while the key has signed no token. */
  readonly tokensUntil: EpochSeconds
  /** When the key was removed from the JWKS. */
  readonly leftAt: EpochSeconds | null
}

export interface Ring {
  /**
   * Grows by one with every change except changes of `tokensUntil`: a change is a compare-and-swap on the version, and other
   * nodes notice the change by the version.
   */
  readonly version: number
  readonly createdAt: EpochSeconds
  /** The algorithm of the lane that signs what names no other. */
  readonly defaultAlg: string
  /** A lane is an algorithm with an active and a next key. Keys of lanes that were removed are here too. */
  readonly keys: readonly RingKey[]
}

interface LaneUsers {
  /** Identifiers of APIs. */
  readonly apis: readonly string[]
  /** Ids of clients. */
  readonly clients: readonly string[]
}

/** The one ring of a store. */
export interface RingStore {
  /** null before the first start. */
  read(): Promise<Ring | null>

  /**
   * Stores the first ring. Returns true for exactly one caller, ever: of two nodes that start on an empty store, one stores its
   * ring and the other reads it.
   */
  create(ring: Ring): Promise<boolean>

  /**
   * Replaces the ring with its successor. Returns false, and changes nothing, if the version or the `tokensUntil` of a key does not
   * equal that of `expected`.
   * @throws {ConstraintViolation} if the successor lacks a lane that an API or a client uses
   */
  replace(expected: Ring, successor: Ring): Promise<boolean>

  /** At most `limit` APIs, and as many clients, that name the lane. */
  usersOf(alg: string, limit: number): Promise<LaneUsers>

  /**
   * Records that a token signed with `kid` may be valid until `until`; never moves `tokensUntil` back. Called *before* such a token
   * is signed. Returns false if the key is no longer active or retiring: then it must not sign.
   */
  extendTokensUntil(kid: string, until: EpochSeconds): Promise<boolean>
}
