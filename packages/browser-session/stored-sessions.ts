/** Sessions in a store. The browser holds the encrypted id of its session. */
import type { FastifyRequest } from 'fastify'
import { type Cookies, readCookies } from './cookies.ts'
import { type Encryption, sha256 } from './encryption.ts'
import {
  LAST_USE_PRECISION,
  type Lifetimes,
  type Session,
  type SessionRepository,
  userOf,
} from './session.ts'
import type { SessionStore } from './session-store.ts'

interface Parts {
  readonly store: SessionStore
  readonly encryption: Encryption
  readonly cookies: Cookies
  readonly clock: () => number
  readonly lifetimes: Lifetimes
}

export function storedSessions({ store, encryption, cookies, clock, lifetimes }: Parts): SessionRepository {
  const cookie = cookies.name()
  const expiryOf = ({ signedInAt }: Session) =>
    Math.min(clock() + lifetimes.idleSeconds, signedInAt + lifetimes.absoluteSeconds)

  async function read(id: string) {
    const key = sha256(id)
    const stored = await store.get(key)
    if (stored === undefined || stored.expiresAt <= clock()) return undefined
    const session = encryption.decrypt('stored-session', key, stored.value) as Session | undefined
    return session === undefined ? undefined : { key, stored, session }
  }

  const write = (session: Session, version: number) => {
    const key = sha256(session.id)
    const value = encryption.encrypt('stored-session', key, session)
    return store.put(key, value, expiryOf(session), version, sha256(userOf(session)))
  }

  const sessionIdOf = (request: FastifyRequest) => {
    const encrypted = readCookies(request).get(cookie)
    if (encrypted === undefined) return undefined
    return encryption.decrypt('session-id', '', encrypted) as string | undefined
  }

  return {
    writesCookiesOnRefresh: false,
    async load(request) {
      const id = sessionIdOf(request)
      const found = id === undefined ? undefined : await read(id)
      if (found === undefined) return undefined
      const expiresAt = expiryOf(found.session)
      if (expiresAt - found.stored.expiresAt > lifetimes.idleSeconds * LAST_USE_PRECISION) {
        await store.touch(found.key, expiresAt)
      }
      return found.session
    },
    latest: async (session) => (await read(session.id))?.session,
    async create(session, _, reply) {
      await write(session, 0)
      cookies.set(reply, cookie, encryption.encrypt('session-id', '', session.id))
    },
    async replace(from, to) {
      for (;;) {
        const found = await read(from.id)
        if (found === undefined || found.session.generation !== from.generation) return found?.session
        if (await write(to, found.stored.version)) return to
      }
    },
    writeCookies() {},
    end: (session) => store.delete(sha256(session.id)),
    clearCookies(request, reply) {
      if (readCookies(request).has(cookie)) cookies.clear(reply, cookie)
    },
  }
}
