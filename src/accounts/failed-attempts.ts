/**
 * How many attempts from each IPv4 address or IPv6 site have failed lately, in the memory of this node. It decides who waits behind
 * whom when the queue for hashing is full, and refuses nothing by itself. Must not know what was attempted.
 */
import { LRUCache } from 'lru-cache'
import type { Clock, EpochSeconds, Seconds } from '../system.ts'

/** After this long without another failure, an address counts as new again: addresses change hands. */
const FORGOTTEN_AFTER: Seconds = 600

/** Beyond that, the addresses that were least recently used are forgotten. */
const MAX_REMEMBERED = 10_000

interface FailedAttempts {
  /** Call when an attempt is about to be checked: until it has succeeded, it counts as failed. */
  add(prefix: string): void
  /** Call if the attempt has succeeded. */
  remove(prefix: string): void
  count(prefix: string): number
}

export function createFailedAttempts(clock: Clock): FailedAttempts {
  const failures = new LRUCache<string, { readonly count: number; readonly at: EpochSeconds }>({
    max: MAX_REMEMBERED,
  })

  function countOf(site: string): number {
    const known = failures.peek(site)
    return known && Math.abs(clock.now() - known.at) < FORGOTTEN_AFTER ? known.count : 0
  }

  function set(site: string, count: number): void {
    if (count > 0) failures.set(site, { count, at: clock.now() })
    else failures.delete(site)
  }

  return {
    count: (prefix) => countOf(siteOf(prefix)),
    add: (prefix) => set(siteOf(prefix), countOf(siteOf(prefix)) + 1),
    remove: (prefix) => set(siteOf(prefix), countOf(siteOf(prefix)) - 1),
  }
}

/**
 * An IPv4 address, or the /48 of an IPv6 prefix: one site may have 65,536 prefixes (RFC 6177 §2), and would have a first attempt
 * from each.
 */
const siteOf = (prefix: string): string => prefix.split(':').slice(0, 3).join(':')
