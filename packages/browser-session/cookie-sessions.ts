/**
 * Sessions in sealed cookies, nothing on the server. The generation is part of the cookies' name: an answer that comes
 * late writes beside what is newer, never over it, and clears only what is older, whatever the order of arrival.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { boundedMap } from './bounded-map.ts'
import { type Cookies, join, readCookies, split } from './cookies.ts'
import type { Sealer } from './encryption.ts'
import { BrowserSessionError } from './errors.ts'
import type { Lifetimes, Session, SessionKeeper } from './session.ts'

interface Parts {
  readonly sealer: Sealer
  readonly cookies: Cookies
  readonly clock: () => number
  readonly lifetimes: Lifetimes
}

/** How long an old cookie is taken for its successor: requests under way when it was refreshed. */
const SUCCESSOR_SECONDS = 60
const MOST_REMEMBERED = 10_000
/** More generations than any race leaves behind; a browser that sends more is not one. */
const MOST_GENERATIONS = 8

export function inCookies({ sealer, cookies, clock, lifetimes }: Parts): SessionKeeper {
  const pattern = new RegExp(`^${cookies.name()}\\.([0-9]{1,12})\\.([0-9])$`)
  const seenName = cookies.name('.seen')
  const successors = boundedMap<Session>(MOST_REMEMBERED, clock)
  // A cookie that was copied before the logout still opens. This process at least knows better.
  const ended = boundedMap<true>(MOST_REMEMBERED, clock)
  const successorKey = ({ id, generation }: Session) => `${id}.${generation}`

  function newest(session: Session): Session | undefined {
    if (ended.get(session.id) !== undefined) return undefined
    const next = successors.get(successorKey(session))
    return next === undefined ? session : newest(next)
  }

  const generations = (request: FastifyRequest) => {
    const numbers = [...readCookies(request).keys()].flatMap((name) => pattern.exec(name)?.[1] ?? [])
    return [...new Set(numbers.map(Number))].sort((a, b) => b - a)
  }

  function open(request: FastifyRequest): Session | undefined {
    const all = readCookies(request)
    for (const generation of generations(request).slice(0, MOST_GENERATIONS)) {
      const sealed = join((index) => all.get(cookies.name(`.${generation}.${index}`)))
      const session = sealed && (sealer.open('session', `${generation}`, sealed) as Session | undefined)
      if (session) return session
    }
    return undefined
  }

  const clearOthers = (
    request: FastifyRequest,
    reply: FastifyReply,
    other: (generation: number) => boolean,
  ) => {
    for (const name of readCookies(request).keys()) {
      const generation = pattern.exec(name)?.[1]
      if (generation !== undefined && other(Number(generation))) cookies.clear(reply, name)
    }
  }

  function writeSeen(session: Session, reply: FastifyReply): void {
    cookies.set(reply, seenName, sealer.seal('seen', session.id, clock()))
  }

  function hand(session: Session, request: FastifyRequest, reply: FastifyReply): void {
    const parts = split(sealer.seal('session', `${session.generation}`, session))
    if (parts === undefined) throw new BrowserSessionError('SESSION_TOO_LARGE')
    parts.forEach((part, index) => {
      cookies.set(reply, cookies.name(`.${session.generation}.${index}`), part)
    })
    clearOthers(request, reply, (generation) => generation < session.generation)
  }

  return {
    handsCookies: true,
    async load(request, reply) {
      const opened = open(request)
      const session = opened && newest(opened)
      if (opened === undefined || session === undefined) return undefined
      const now = clock()
      const sealedSeen = readCookies(request).get(seenName)
      // Its own small cookie: a late write of the time of use must not bring back old tokens.
      const seen = Number(sealedSeen && sealer.open('seen', session.id, sealedSeen)) || session.signedInAt
      const over =
        now >= session.signedInAt + lifetimes.absoluteSeconds || now >= seen + lifetimes.idleSeconds
      if (over) return undefined
      if (now - seen > lifetimes.idleSeconds / 20) writeSeen(session, reply)
      if (session !== opened) hand(session, request, reply)
      else clearOthers(request, reply, (generation) => generation < session.generation)
      return session
    },
    latest: async (session) => newest(session),
    async begin(session, request, reply) {
      hand(session, request, reply)
      clearOthers(request, reply, (generation) => generation > session.generation)
      writeSeen(session, reply)
    },
    async advance(from, to) {
      if (ended.get(from.id) !== undefined) return undefined
      successors.set(successorKey(from), to, clock() + SUCCESSOR_SECONDS)
      return to
    },
    hand,
    async end(session) {
      ended.set(session.id, true, session.signedInAt + lifetimes.absoluteSeconds)
    },
    clear(request, reply) {
      clearOthers(request, reply, () => true)
      if (readCookies(request).has(seenName)) cookies.clear(reply, seenName)
    },
  }
}
