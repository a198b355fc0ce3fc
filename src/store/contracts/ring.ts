import type { EpochSeconds } from '../../system.ts'

/**
 * A signing key's life: `next` (published, does not sign) → `active` (the one that signs) → `retiring`
 * (published until its last token has expired) → `retired`; or `revoked` from anywhere.
 */
export type KeyState = 'next' | 'active' | 'retiring' | 'retired' | 'revoked'

/** The public half as a JWK without `kid`, `use`, `alg` (RFC 7517 §4; RFC 7518 §6). */
export type PublicJwk = Readonly<Record<string, string>> & { readonly kty: string }

export interface RingKey {
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string
  /** RFC 7518 §3.1 name, e.g. RS256. */
  readonly alg: string
  readonly state: KeyState
  readonly publicJwk: PublicJwk
  /** The private half under the master key (`roots.reseal` puts another in its place); null once the key has stopped signing. */
  readonly sealed: string | null
  readonly createdAt: EpochSeconds
  /** Since when every JWKS served contains it. */
  readonly publishedAt: EpochSeconds
  /** The ring's version of that moment; 1: no JWKS without it was ever served. */
  readonly publishedIn: number
  /** When it became active. */
  readonly signsFrom: EpochSeconds | null
  /** When it stopped signing. */
  readonly stoppedAt: EpochSeconds | null
  /** No token signed with it expires later than this; 0 while it has signed none. */
  readonly tokensUntil: EpochSeconds
  /** When it left the JWKS. */
  readonly leftAt: EpochSeconds | null
}

export interface Ring {
  /**
   * Grows by one with every change but that of `tokensUntil`, so that a change can be compared and swapped, and
   * followed by others.
   */
  readonly version: number
  readonly createdAt: EpochSeconds
  readonly keys: readonly RingKey[]
}

/** The one ring of a store. */
export interface RingStore {
  /** null before the first start. */
  read(): Promise<Ring | null>

  /**
   * Stores the first ring. True for exactly one caller, ever: two nodes starting on an empty store cannot
   * both install theirs.
   */
  create(ring: Ring): Promise<boolean>

  /**
   * Replaces the ring that was read by its successor. False, and nothing changed, if anybody changed it
   * meanwhile, be it the version or how long any of its keys is needed (`tokensUntil`).
   */
  replace(seen: Ring, successor: Ring): Promise<boolean>

  /**
   * Notes that a token signed with `kid` may live until `until`; never shortens it. Called *before* such a
   * token is signed. False if the key is no longer published, and then nothing may be signed with it.
   */
  extendTokensUntil(kid: string, until: EpochSeconds): Promise<boolean>
}
