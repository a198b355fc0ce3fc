import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { EpochSeconds, Seconds } from '../../../src/system.ts'
import { claimsOf, kidOf } from '../server/requests.ts'
import type { TestServer } from '../server/server.ts'

/** Parsing and verifying are pure, so twenty verifiers share their results. */
const parsed = new Map<string, ReadonlyMap<string, KeyObject>>()
const signatures = new Map<string, boolean>()

function keysOf(jwks: string): ReadonlyMap<string, KeyObject> {
  const known = parsed.get(jwks)
  if (known) return known
  const { keys } = JSON.parse(jwks) as { keys: (Record<string, string> & { kid: string })[] }
  const publicKeys = new Map(keys.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: 'jwk' })]))
  parsed.set(jwks, publicKeys)
  return publicKeys
}

function signatureIsValid(token: string, kid: string, key: KeyObject): boolean {
  const id = `${kid} ${token}`
  let valid = signatures.get(id)
  if (valid === undefined) {
    const end = token.lastIndexOf('.')
    valid = verify(
      'sha256',
      Buffer.from(token.slice(0, end)),
      key,
      Buffer.from(token.slice(end + 1), 'base64url'),
    )
    signatures.set(id, valid)
  }
  return valid
}

/** A token as a verifier reads it. */
export interface Issued {
  readonly token: string
  readonly kid: string
  readonly exp: EpochSeconds
}

export const issued = (token: string): Issued => ({
  token,
  kid: kidOf(token),
  exp: Number(claimsOf(token).exp),
})

/**
 * The strictest correct verifier: it caches a JWKS for a constant time, whatever `Cache-Control` says, and does not
 * refetch for an unknown kid.
 */
export class CachingVerifier {
  readonly cacheFor: Seconds
  fetches = 0
  private readonly server: TestServer
  private keys: ReadonlyMap<string, KeyObject> = new Map()
  private fetchedAt: EpochSeconds = Number.NEGATIVE_INFINITY

  constructor(server: TestServer, cacheFor: Seconds) {
    this.server = server
    this.cacheFor = cacheFor
  }

  /** Empties the cache, as a restart does: the next token causes a fetch. */
  clearCache(): void {
    this.fetchedAt = Number.NEGATIVE_INFINITY
  }

  /** undefined if the token is valid; otherwise the reason for refusing it. */
  async refusalReason({ token, kid, exp }: Issued): Promise<string | undefined> {
    const now = this.server.clock.now()
    if (now - this.fetchedAt >= this.cacheFor) {
      const { body } = await this.server.inject({ url: '/.well-known/jwks.json' })
      this.keys = keysOf(body)
      this.fetchedAt = now
      this.fetches += 1
    }
    const key = this.keys.get(kid)
    if (!key)
      return `unknown kid ${kid}, JWKS is ${now - this.fetchedAt} s old, cached for ${this.cacheFor} s`
    if (!signatureIsValid(token, kid, key)) return 'the signature is invalid'
    return exp > now ? undefined : 'expired'
  }
}

/** This many verifiers, with cache times from one second to the longest allowed. */
export function verifiers(server: TestServer, count: number, maxCacheTime: Seconds): CachingVerifier[] {
  return Array.from(
    { length: count },
    (_, n) => new CachingVerifier(server, Math.round(maxCacheTime ** (n / (count - 1)))),
  )
}
