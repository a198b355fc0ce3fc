/**
 * What a request of the administration may contain, before any schema: JSON of limited depth in strict UTF-8, parameters once each,
 * and only text that both engines store as it is. Must not know any resource.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AdminError } from '../../admin/errors.ts'
import { invalidRequest } from '../../oauth/errors.ts'
import { readPairs } from '../form.ts'

/** Far more than any schema has. A deeper value could exhaust the stack of what reads it recursively. */
export const MAX_DEPTH = 32

/** Accepts JSON and merge patches (RFC 7396), and refuses every other content type. */
export function parseBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    ['application/json', 'application/merge-patch+json'],
    { parseAs: 'buffer' },
    (request, bytes, done) => {
      try {
        const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes as Buffer)
        // A client may send the content type without a body to a path that needs none.
        if (text === '') return done(null)
        assertShape(text)
        return parse(request, text, (error, value) => {
          if (error) return done(error)
          try {
            // Fastify validates a missing body as null, and a body that may be left out must not be null either.
            if (value === null) throw invalidRequest('the body must be an object')
            assertText(value, '')
            done(null, value)
          } catch (refused) {
            done(refused as Error)
          }
        })
      } catch (error) {
        return done(error instanceof TypeError ? invalidRequest('the body is not UTF-8') : (error as Error))
      }
    },
  )
}

/**
 * Refuses values that are too deep, and objects with two members of one name: this server would use the last one, and whatever has checked
 * the request before it may have looked at the first (RFC 8259 §4, RFC 7493 §2.3). One pass, whatever the text is: a pattern for strings
 * would read the rest of the text once for each quote that is never closed.
 */
function assertShape(text: string): void {
  /** The names of the members of each value that has begun. */
  const open: Set<string>[] = []
  let lastString = ''
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]
    if (char === '"') {
      const start = at
      at = endOfString(text, start)
      lastString = text.slice(start, at + 1)
    } else if (char === '{' || char === '[') {
      open.push(new Set())
      if (open.length > MAX_DEPTH) throw invalidRequest('the body is nested too deeply')
    } else if (char === '}' || char === ']') {
      open.pop()
    } else if (char === ':') {
      const name = decoded(lastString)
      if (open.at(-1)?.has(name)) throw invalidRequest('the body has an object with two members of one name')
      open.at(-1)?.add(name)
    }
  }
}

/** The place of the quote that ends the string, or the end of the text. */
function endOfString(text: string, start: number): number {
  let at = start + 1
  // The character after a backslash is escaped.
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}

function decoded(string: string): string {
  if (!string.includes('\\')) return string.slice(1, -1)
  try {
    return JSON.parse(string) as string
  } catch {
    // The body is not JSON, and the parser will refuse it.
    return string
  }
}

/** PostgreSQL cannot store a NUL, and no UTF-8 has a lone surrogate. */
const isText = (text: string): boolean => text.isWellFormed() && !text.includes('\0')

function assertText(value: unknown, field: string): void {
  if (typeof value === 'string' && !isText(value)) throw notText(field)
  if (value === null || typeof value !== 'object') return
  for (const [name, inner] of Object.entries(value)) {
    if (!isText(name)) throw notText(field)
    assertText(inner, field === '' ? name : `${field}.${name}`)
  }
}

const notText = (field: string): AdminError =>
  new AdminError('invalid-value', `${field || 'the body'} contains a character that is not allowed`, {
    errors: [{ field, message: 'contains a NUL character or half of a surrogate pair' }],
  })

/** The parameters of the query, each at most once and strictly encoded. @throws {OAuthError} */
export function queryOf({ url }: FastifyRequest): Record<string, string> {
  const start = url.indexOf('?')
  const query: Record<string, string> = Object.create(null)
  for (const [name, value] of start < 0 ? [] : readPairs(url.slice(start + 1))) {
    if (name in query) throw invalidRequest('a parameter is repeated')
    query[name] = value
  }
  return query
}

/** @throws {AdminError} */
export function assertParams(params: unknown): void {
  assertText(params, '')
}

/**
 * A header field that must not be repeated: Node.js takes the first of some repeated fields and joins others.
 * @throws {OAuthError}
 */
export function headerOf({ raw, headers }: FastifyRequest, name: string): string | undefined {
  const count = raw.rawHeaders.filter((text, i) => i % 2 === 0 && text.toLowerCase() === name).length
  const value = headers[name]
  if (count > 1 || Array.isArray(value)) throw invalidRequest(`the header field ${name} is repeated`)
  return value
}

/** Equal for JSON values that differ only in the order of their members. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
