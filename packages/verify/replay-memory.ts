/**
 * The DPoP proofs that were accepted, so that each is accepted once (RFC 9449 §11.1). Only proofs that passed every other check, with a
 * valid token, get here. A proof is remembered as long as it could be accepted again.
 */
import { hash } from 'node:crypto'

/**
 * Records that a proof was used. The result is true for the first call with this key and false for every later one, also if several
 * processes call at the same time. After `until`, in seconds since 1970, the key may be forgotten.
 */
export type ClaimProof = (key: string, until: number) => boolean | Promise<boolean>

/** No further proof can be remembered, so none can be accepted. */
export class MemoryFull extends Error {}

/** The name of a proof. It contains the client's key, so that no client can use up the `jti` of another; a hash has a fixed length. */
export function proofKey(jkt: string, jti: string): string {
  return hash('sha256', `${jkt}.${jti}`, 'base64url')
}

interface Period {
  readonly proofs: Set<string>
  /** How many of them each client's key has signed. */
  readonly byKey: Map<string, number>
}

/** Proofs that expire within the same period are forgotten together, which needs no timer and no search. */
const PERIOD_S = 10
/** When the memory is half full, no client's key may have more proofs in it than this part. */
const SHARE = 1 / 20

/**
 * Remembers at most `limit` proofs. When it is full, further proofs are refused until the oldest have expired, because forgetting one early
 * would make its replay possible.
 */
export function createReplayMemory(limit: number, clock: () => number) {
  const periods = new Map<number, Period>()
  let size = 0

  function forgetExpired(): void {
    const current = Math.floor(clock() / PERIOD_S)
    for (const [number, { proofs }] of periods) {
      if (number >= current) continue
      periods.delete(number)
      size -= proofs.size
    }
  }

  function assertRoom(jkt: string): void {
    if (size < limit / 2) return
    let own = 0
    for (const { byKey } of periods.values()) own += byKey.get(jkt) ?? 0
    if (size >= limit || own >= limit * SHARE)
      throw new MemoryFull('there is no room for further DPoP proofs')
  }

  return {
    /** True the first time. @throws {MemoryFull} */
    claim(key: string, until: number, jkt: string): boolean {
      forgetExpired()
      // Another proof with the same `jti` may have another `iat`, and then it is in another period.
      for (const { proofs } of periods.values()) if (proofs.has(key)) return false
      assertRoom(jkt)
      const number = Math.floor(until / PERIOD_S)
      const period = periods.get(number) ?? { proofs: new Set(), byKey: new Map() }
      periods.set(number, period)
      period.proofs.add(key)
      period.byKey.set(jkt, (period.byKey.get(jkt) ?? 0) + 1)
      size += 1
      return true
    },
    get size() {
      return size
    },
  }
}
