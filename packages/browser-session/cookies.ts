/** Cookies as this plugin writes them: their names and attributes, and values that are too long for one cookie. */
import type { FastifyReply, FastifyRequest } from 'fastify'

export type SameSite = 'Lax' | 'Strict'

/** Browsers accept 4,096 bytes for name and value together; this leaves room for the name. */
const MAX_CHUNK_LENGTH = 3800
/** Three full cookies leave room for other headers: Node.js accepts 16 KiB in all. */
const MAX_CHUNKS = 3

export interface Cookies {
  /** Returns a cookie's full name, with the prefix that the origin allows. */
  name(suffix?: string): string
  /** `maxAge` is in seconds; without it the cookie lasts until the browser is closed. */
  set(
    reply: FastifyReply,
    name: string,
    value: string,
    options?: { maxAge?: number; sameSite?: SameSite },
  ): void
  clear(reply: FastifyReply, name: string): void
}

/**
 * On https, cookies have `__Host-` and `Secure`, so that no other host and no attacker on the network can set or read
 * them (RFC 6265bis §4.1.3.2). Plain http is accepted for this machine only; there cookies have neither, because not
 * every browser accepts them.
 */
export function createCookies(baseName: string, secure: boolean, sameSite: SameSite): Cookies {
  const prefix = secure ? `__Host-${baseName}` : baseName
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

/** Returns the request's cookies. If two have the same name, the first one is used; values are not decoded. */
export function readCookies(request: FastifyRequest): Map<string, string> {
  const found = new Map<string, string>()
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const at = pair.indexOf('=')
    const name = pair.slice(0, at).trim()
    if (at > 0 && !found.has(name)) found.set(name, pair.slice(at + 1).trim())
  }
  return found
}

/**
 * Splits a value into chunks for several cookies; undefined if it is too long. The first chunk says how many there are
 * (`3.…`), so that a chunk left over from an earlier value does no harm.
 */
export function splitIntoChunks(value: string): string[] | undefined {
  const chunks = value.match(new RegExp(`.{1,${MAX_CHUNK_LENGTH}}`, 'g')) ?? []
  if (chunks.length > MAX_CHUNKS) return undefined
  return chunks.map((chunk, index) => (index === 0 ? `${chunks.length}.${chunk}` : chunk))
}

/** Joins the chunks that `splitIntoChunks` made; undefined if one is missing. */
export function joinChunks(chunk: (index: number) => string | undefined): string | undefined {
  const [, count, first] = /^([1-9])\.(.+)$/.exec(chunk(0) ?? '') ?? []
  if (first === undefined) return undefined
  const rest = Array.from({ length: Number(count) - 1 }, (_, index) => chunk(index + 1))
  return rest.includes(undefined) ? undefined : first + rest.join('')
}
