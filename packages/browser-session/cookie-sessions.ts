/**
 * Sessions in encrypted cookies; the server stores nothing. The generation is part of the names of the cookies. So a
 * response that arrives late adds cookies beside newer ones instead of overwriting them, and removes only older ones.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { boundedMap } from './bounded-map.ts'
import { type Cookies, joinChunks, readCookies, splitIntoChunks } from './cookies.ts'
import type { Encryption } from './encryption.ts'
import { BrowserSessionError } from './errors.ts'
import {
  LAST_USE_PRECISION,
  type Lifetimes,
  type Session,
  type SessionRepository,
  userOf,
} from './session.ts'

interface Parts {
  readonly encryption: Encryption
  readonly cookies: Cookies
  readonly clock: () => number
  readonly lifetimes: Lifetimes
}

/** Seconds for which a cookie from before a refresh is accepted, because requests may be in flight during a refresh. */
const SUCCESSOR_SECONDS = 60
const MAP_BOUNDS = { maxSize: 10_000, maxPerOwner: 50 }
/** The maximum number of generations that are decrypted. No race leaves more behind. */
const MAX_GENERATIONS = 8

export function cookieSessions({ encryption, cookies, clock, lifetimes }: Parts): SessionRepository {
  const pattern = new RegExp(`^${cookies.name()}\\.([0-9]{1,12})\\.([0-9])$`)
  const lastUseCookie = cookies.name('.seen')
  const successors = boundedMap<Session>(MAP_BOUNDS, clock)
  // A cookie that was copied before the logout still decrypts, so this process remembers which sessions have ended.
  const ended = boundedMap<true>(MAP_BOUNDS, clock)
  const successorKey = ({ id, generation }: Session) => `${id}.${generation}`

  function newestOf(session: Session): Session | undefined {
    if (ended.get(session.id) !== undefined) return undefined
    const next = successors.get(successorKey(session))
    return next === undefined ? session : newestOf(next)
  }

  const generationsOf = (request: FastifyRequest) => {
    const numbers = [...readCookies(request).keys()].flatMap((name) => pattern.exec(name)?.[1] ?? [])
    return [...new Set(numbers.map(Number))].sort((a, b) => b - a)
  }

  function decryptNewest(request: FastifyRequest): Session | undefined {
    const all = readCookies(request)
    for (const generation of generationsOf(request).slice(0, MAX_GENERATIONS)) {
      const encrypted = joinChunks((index) => all.get(cookies.name(`.${generation}.${index}`)))
      const session =
        encrypted && (encryption.decrypt('session', `${generation}`, encrypted) as Session | undefined)
      if (session) return session
    }
    return undefined
  }

  const clearGenerations = (
    request: FastifyRequest,
    reply: FastifyReply,
    isObsolete: (generation: number) => boolean,
  ) => {
    for (const name of readCookies(request).keys()) {
      const generation = pattern.exec(name)?.[1]
      if (generation !== undefined && isObsolete(Number(generation))) cookies.clear(reply, name)
    }
  }

  function writeLastUse(session: Session, reply: FastifyReply): void {
    cookies.set(reply, lastUseCookie, encryption.encrypt('last-use', session.id, clock()))
  }

  function writeCookies(session: Session, request: FastifyRequest, reply: FastifyReply): void {
    const chunks = splitIntoChunks(encryption.encrypt('session', `${session.generation}`, session))
    if (chunks === undefined) throw new BrowserSessionError('SESSION_TOO_LARGE')
    chunks.forEach((chunk, index) => {
      cookies.set(reply, cookies.name(`.${session.generation}.${index}`), chunk)
    })
    clearGenerations(request, reply, (generation) => generation < session.generation)
  }

  return {
    writesCookiesOnRefresh: true,
    async load(request, reply) {
      const decrypted = decryptNewest(request)
      const session = decrypted && newestOf(decrypted)
      if (decrypted === undefined || session === undefined) return undefined
      const now = clock()
      // The last use has a small cookie of its own: writing it late must not bring back old tokens.
      const encrypted = readCookies(request).get(lastUseCookie)
      const lastUse =
        Number(encrypted && encryption.decrypt('last-use', session.id, encrypted)) || session.signedInAt
      const expired =
        now >= session.signedInAt + lifetimes.absoluteSeconds || now >= lastUse + lifetimes.idleSeconds
      if (expired) return undefined
      if (now - lastUse > lifetimes.idleSeconds * LAST_USE_PRECISION) writeLastUse(session, reply)
      if (session !== decrypted) writeCookies(session, request, reply)
      else clearGenerations(request, reply, (generation) => generation < session.generation)
      return session
    },
    latest: async (session) => newestOf(session),
    async create(session, request, reply) {
      writeCookies(session, request, reply)
      clearGenerations(request, reply, (generation) => generation > session.generation)
      writeLastUse(session, reply)
    },
    async replace(from, to) {
      if (ended.get(from.id) !== undefined) return undefined
      successors.set(successorKey(from), to, clock() + SUCCESSOR_SECONDS, userOf(to))
      return to
    },
    writeCookies,
    async end(session) {
      ended.set(session.id, true, session.signedInAt + lifetimes.absoluteSeconds, userOf(session))
    },
    clearCookies(request, reply) {
      clearGenerations(request, reply, () => true)
      if (readCookies(request).has(lastUseCookie)) cookies.clear(reply, lastUseCookie)
    },
  }
}
