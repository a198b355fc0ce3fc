/** A sign-in under way: what its callback must match, sealed in a cookie of the browser that began it. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { boundedMap } from './bounded-map.ts'
import { type Cookies, readCookies } from './cookies.ts'
import { randomId, type Sealer } from './encryption.ts'
import type { Proofs } from './openid-client.ts'

export interface Transaction extends Proofs {
  readonly returnTo: string
  readonly begunAt: number
}

export interface Transactions {
  begin(returnTo: string, request: FastifyRequest, reply: FastifyReply): Transaction
  /** Once; undefined if this browser did not begin it, or too long ago. */
  take(state: string, request: FastifyRequest, reply: FastifyReply): Transaction | undefined
}

const SECONDS = 600
/** Tabs that sign in at once; more, and the oldest go: cookies are bounded. */
const MOST = 5
const MOST_REMEMBERED = 10_000

export function transactions(sealer: Sealer, cookies: Cookies, clock: () => number): Transactions {
  const prefix = cookies.name('.tx.')
  const nameOf = (state: string) => prefix + state.slice(0, 16)
  const taken = boundedMap<true>(MOST_REMEMBERED, clock)

  const open = (name: string, sealed: string | undefined) => {
    const found = sealed && (sealer.open('transaction', name, sealed) as Transaction | undefined)
    return found && clock() < found.begunAt + SECONDS ? found : undefined
  }

  /** Leaves room for one more. */
  function tidy(request: FastifyRequest, reply: FastifyReply): void {
    const begun = [...readCookies(request)]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, sealed]) => ({ name, begunAt: open(name, sealed)?.begunAt ?? 0 }))
      .sort((a, b) => b.begunAt - a.begunAt)
    begun.forEach(({ name, begunAt }, index) => {
      if (begunAt === 0 || index >= MOST - 1) cookies.clear(reply, name)
    })
  }

  return {
    begin(returnTo, request, reply) {
      tidy(request, reply)
      const transaction = {
        state: randomId(),
        nonce: randomId(),
        verifier: randomId(),
        returnTo,
        begunAt: clock(),
      }
      const name = nameOf(transaction.state)
      // Lax even if the session is Strict: the callback comes from the issuer's site.
      const how = { maxAge: SECONDS, sameSite: 'Lax' } as const
      cookies.set(reply, name, sealer.seal('transaction', name, transaction), how)
      return transaction
    },

    take(state, request, reply) {
      const name = nameOf(state)
      const transaction = open(name, readCookies(request).get(name))
      if (transaction?.state !== state || taken.get(state)) return undefined
      taken.set(state, true, transaction.begunAt + SECONDS)
      cookies.clear(reply, name)
      return transaction
    },
  }
}
