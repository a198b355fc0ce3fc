/** Sessions in a store; the browser holds a sealed id. */
import type { FastifyRequest } from 'fastify'
import { type Cookies, readCookies } from './cookies.ts'
import { type Sealer, sha256 } from './encryption.ts'
import type { Lifetimes, Session, SessionKeeper } from './session.ts'
import type { SessionStore } from './session-store.ts'

interface Parts {
  readonly store: SessionStore
  readonly sealer: Sealer
  readonly cookies: Cookies
  readonly clock: () => number
  readonly lifetimes: Lifetimes
}

export function inStore({ store, sealer, cookies, clock, lifetimes }: Parts): SessionKeeper {
  const cookie = cookies.name()
  const end = ({ signedInAt }: Session) =>
    Math.min(clock() + lifetimes.idleSeconds, signedInAt + lifetimes.absoluteSeconds)

  async function read(id: string) {
    const key = sha256(id)
    const stored = await store.get(key)
    if (stored === undefined || stored.expiresAt <= clock()) return undefined
    const session = sealer.open('stored-session', key, stored.value) as Session | undefined
    return session === undefined ? undefined : { key, stored, session }
  }

  const write = (session: Session, version: number) => {
    const key = sha256(session.id)
    return store.put(key, sealer.seal('stored-session', key, session), end(session), version)
  }

  const idOf = (request: FastifyRequest) => {
    const sealed = readCookies(request).get(cookie)
    return sealed === undefined ? undefined : (sealer.open('session-id', '', sealed) as string | undefined)
  }

  return {
    handsCookies: false,
    async load(request) {
      const id = idOf(request)
      const found = id === undefined ? undefined : await read(id)
      if (found === undefined) return undefined
      const until = end(found.session)
      if (until - found.stored.expiresAt > lifetimes.idleSeconds / 20) await store.touch(found.key, until)
      return found.session
    },
    latest: async (session) => (await read(session.id))?.session,
    async begin(session, _, reply) {
      await write(session, 0)
      cookies.set(reply, cookie, sealer.seal('session-id', '', session.id))
    },
    async advance(from, to) {
      for (;;) {
        const found = await read(from.id)
        if (found === undefined || found.session.generation !== from.generation) return found?.session
        if (await write(to, found.stored.version)) return to
      }
    },
    hand() {},
    end: (session) => store.delete(sha256(session.id)),
    clear(request, reply) {
      if (readCookies(request).has(cookie)) cookies.clear(reply, cookie)
    },
  }
}
