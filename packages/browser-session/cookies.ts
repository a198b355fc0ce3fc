/** Cookies as this plugin writes them: names, attributes, and values too long for one. */
import type { FastifyReply, FastifyRequest } from 'fastify'

export type SameSite = 'Lax' | 'Strict'

/** Browsers take 4,096 bytes of name and value; this leaves room for the name. */
const MOST_IN_ONE = 3800
/** Three full ones leave room under Node.js' 16 KiB of headers. */
const MOST_CHUNKS = 3

export interface Cookies {
  /** With the prefix that the origin allows. */
  name(suffix?: string): string
  set(
    reply: FastifyReply,
    name: string,
    value: string,
    options?: { maxAge?: number; sameSite?: SameSite },
  ): void
  clear(reply: FastifyReply, name: string): void
}

/**
 * On https: `__Host-` and `Secure`, so no other host, and nobody on the way, can set or read them (RFC 6265bis
 * §4.1.3.2). On plain http, which is this machine only: neither, because not every browser takes them there.
 */
export function cookies(base: string, secure: boolean, sameSite: SameSite): Cookies {
  const prefix = secure ? `__Host-${base}` : base
  const attributes = `; Path=/${secure ? '; Secure' : ''}; HttpOnly; SameSite=`
  return {
    name: (suffix = '') => prefix + suffix,
    set(reply, name, value, options = {}) {
      const age = options.maxAge === undefined ? '' : `; Max-Age=${options.maxAge}`
      reply.header('set-cookie', `${name}=${value}${age}${attributes}${options.sameSite ?? sameSite}`)
    },
    clear(reply, name) {
      reply.header('set-cookie', `${name}=; Max-Age=0${attributes}${sameSite}`)
    },
  }
}

/** The first of a name counts, as with every server; our values need no decoding. */
export function readCookies(request: FastifyRequest): Map<string, string> {
  const found = new Map<string, string>()
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const at = pair.indexOf('=')
    const name = pair.slice(0, at).trim()
    if (at > 0 && !found.has(name)) found.set(name, pair.slice(at + 1).trim())
  }
  return found
}

/** `3.…`, `…`, `…`: the first says how many there are, so that one left over from before does no harm. */
export function split(value: string): string[] | undefined {
  const parts = value.match(new RegExp(`.{1,${MOST_IN_ONE}}`, 'g')) ?? []
  if (parts.length > MOST_CHUNKS) return undefined
  return parts.map((part, index) => (index === 0 ? `${parts.length}.${part}` : part))
}

/** The inverse; undefined if one is missing. */
export function join(part: (index: number) => string | undefined): string | undefined {
  const [, count, first] = /^([1-9])\.(.+)$/.exec(part(0) ?? '') ?? []
  if (first === undefined) return undefined
  const rest = Array.from({ length: Number(count) - 1 }, (_, index) => part(index + 1))
  return rest.includes(undefined) ? undefined : first + rest.join('')
}
