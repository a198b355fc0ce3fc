/** Sign-ins in progress. What a callback must match is encrypted in a cookie of the browser that started the sign-in. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { boundedMap } from './bounded-map.ts'
import { type Cookies, readCookies } from './cookies.ts'
import { type Encryption, randomId } from './encryption.ts'
import type { CallbackChecks } from './openid-client.ts'

interface SignInTransaction extends CallbackChecks {
  readonly returnTo: string
  /** Seconds since 1970. */
  readonly startedAt: number
}

export interface SignInTransactions {
  start(returnTo: string, request: FastifyRequest, reply: FastifyReply): SignInTransaction
  /** Returns the transaction once; undefined if this browser did not start it, or started it too long ago. */
  consume(state: string, request: FastifyRequest, reply: FastifyReply): SignInTransaction | undefined
}

const LIFETIME_SECONDS = 600
/** How many tabs can sign in at once. With more, the oldest sign-ins are dropped, because cookies are limited. */
const MAX_CONCURRENT = 5
const MAX_CONSUMED = 10_000

export function createSignInTransactions(
  encryption: Encryption,
  cookies: Cookies,
  clock: () => number,
): SignInTransactions {
  const prefix = cookies.name('.tx.')
  const cookieName = (state: string) => prefix + state.slice(0, 16)
  const consumed = boundedMap<true>({ maxSize: MAX_CONSUMED }, clock)

  const decrypt = (name: string, encrypted: string | undefined) => {
    const found =
      encrypted && (encryption.decrypt('sign-in', name, encrypted) as SignInTransaction | undefined)
    return found && clock() < found.startedAt + LIFETIME_SECONDS ? found : undefined
  }

  /** Removes expired sign-ins, and the oldest ones until there is room for one more. */
  function prune(request: FastifyRequest, reply: FastifyReply): void {
    const started = [...readCookies(request)]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, encrypted]) => ({ name, startedAt: decrypt(name, encrypted)?.startedAt ?? 0 }))
      .sort((a, b) => b.startedAt - a.startedAt)
    started.forEach(({ name, startedAt }, index) => {
      if (startedAt === 0 || index >= MAX_CONCURRENT - 1) cookies.clear(reply, name)
    })
  }

  return {
    start(returnTo, request, reply) {
      prune(request, reply)
      const transaction = {
        state: randomId(),
        nonce: randomId(),
        codeVerifier: randomId(),
        returnTo,
        startedAt: clock(),
      }
      const name = cookieName(transaction.state)
      // Lax even if the session is Strict, because the callback is a navigation from the issuer's site.
      const attributes = { maxAge: LIFETIME_SECONDS, sameSite: 'Lax' } as const
      cookies.set(reply, name, encryption.encrypt('sign-in', name, transaction), attributes)
      return transaction
    },

    consume(state, request, reply) {
      const name = cookieName(state)
      const transaction = decrypt(name, readCookies(request).get(name))
      if (transaction?.state !== state || consumed.get(state)) return undefined
      consumed.set(state, true, transaction.startedAt + LIFETIME_SECONDS)
      cookies.clear(reply, name)
      return transaction
    },
  }
}
