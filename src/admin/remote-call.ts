/**
 * One request to the administration API of another server. It believes nothing that the server answers. Must not know any resource.
 */
import { commandLine } from '../command-line.ts'
import { KeyturnError } from '../errors.ts'
import { readBody } from '../oauth/call-client.ts'
import { ADMIN_PATH } from './built-ins.ts'
import { AdminError, type FieldError, PROBLEMS, type Problem } from './errors.ts'
import { DEFAULT_LIMIT } from './page.ts'
import type { Changed, Page } from './verbs.ts'
import { decodeNotes, NOTES_HEADER, PROBLEM_TYPE } from './wire.ts'

/** The server did not answer, or not as its API does. */
export class ServerUnreachable extends KeyturnError<'server_unreachable'> {
  constructor(message: string, cause?: unknown) {
    super('server_unreachable', message, { cause })
  }
}

/** @param error what `fetch` has thrown; its cause has the code of the network, such as `ECONNREFUSED` */
export function noAnswer(server: string, error: unknown): ServerUnreachable {
  const { code } = ((error as Error).cause ?? {}) as { readonly code?: unknown }
  return new ServerUnreachable(
    `${server} does not answer${typeof code === 'string' ? ` (${code})` : ''}`,
    error,
  )
}

export interface RemoteDeps {
  /** The issuer URL of the server. */
  readonly server: string
  /** @param rejected the token that the server has just refused, if any: then another one is wanted */
  readonly accessToken: (rejected?: string) => Promise<string>
  readonly fetch?: typeof fetch
  /** A new value that nobody can guess. */
  readonly randomId: () => string
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>

interface Request {
  /** The request must not act twice: it has an `Idempotency-Key`. */
  readonly once?: boolean
  /** The answer is a part of a list. */
  readonly isList?: boolean
  readonly query?: Query | undefined
  readonly body?: unknown
  readonly ifMatch?: number | undefined
}

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

/** One request of the API. @throws {AdminError | ServerUnreachable} */
export type Call = <T>(method: Method, path: string, request?: Request) => Promise<Changed<T>>

/** A request may end any number of sessions. */
const TIMEOUT_MS = 60_000

/** @param randomId for the `Idempotency-Key` */
export function createCall({ server, accessToken, fetch: send = fetch, randomId }: RemoteDeps): Call {
  const assertListed = createListLimits(server)

  return async <T>(
    method: Method,
    where: string,
    { query = {}, body, ifMatch, isList = false, once = false }: Request = {},
  ) => {
    const url = new URL(server.replace(/\/$/, '') + ADMIN_PATH + where)
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value))
    let key = once ? randomId() : undefined
    let token = await accessToken()

    async function attempt() {
      const response = await send(url, {
        method,
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: {
          authorization: `Bearer ${token}`,
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(ifMatch === undefined ? {} : { 'if-match': `"${ifMatch}"` }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { response, text: await readBody(response, MAX_ANSWER_BYTES) }
    }

    /** Sends the request once more if its answer was lost and it cannot act twice. */
    async function ask(): Promise<Answer> {
      const isRepeatable = method === 'GET' || method === 'PUT' || key !== undefined
      const lost = await attempt().catch((error: Error) => error)
      if (!(lost instanceof Error)) return lost
      if (!isRepeatable || lost.name === 'TimeoutError') throw noAnswer(server, lost)
      const again = await attempt().catch((error) => {
        throw noAnswer(server, error)
      })
      if (again.response.status === 409 && UNKNOWN.includes(problemOf(parsed(again.text))))
        throw new ServerUnreachable(
          `${server} may have done this, and its answer was lost: look before you run the command again`,
        )
      return again
    }

    let answer = await ask()
    // The token may be of a key that was revoked a moment ago, perhaps by a command like this one. Nothing has been done yet.
    if (answer.response.status === 401) {
      token = await accessToken(token)
      answer = await ask()
    }
    // The administrator has used too many keys today. Nothing has been done yet, and it works without one.
    if (answer.response.status === 429 && key !== undefined) {
      key = undefined
      answer = await ask()
    }
    const { response, text } = answer
    if (text === null)
      throw new ServerUnreachable(`${server} answers with more than ${MAX_ANSWER_BYTES / 1024 ** 2} MB`)
    const value = parsed(text)
    if (value === undefined) throw strangeAnswer(response, server)
    if (!response.ok) throw errorOf(response, value, server)
    const [, revision] = /^"(\d+)"$/.exec(response.headers.get('etag') ?? '') ?? []
    if (!isObject(value) || (isList && !isPage(value))) throw strangeAnswer(response, server)
    if (isList) assertListed(value as Page<unknown>, query, text.length)
    return {
      value: value as T,
      revision: revision === undefined ? null : Number(revision),
      notes: notesOf(response, server),
    }
  }
}

interface Answer {
  readonly response: Response
  /** null if it is too long. */
  readonly text: Buffer | null
}

/** The first request is in progress, or ended without an answer that could be repeated. */
const UNKNOWN: readonly string[] = ['idempotency-in-progress', 'idempotency-unknown'] satisfies Problem[]

/** undefined if it is not JSON. */
function parsed(text: Buffer | null): unknown {
  try {
    return JSON.parse(String(text))
  } catch {
    return undefined
  }
}

/** Far more than any server has; a command holds a whole list in memory. */
const MAX_PARTS = 10_000
const MAX_LISTED_BYTES = 512 * 1024 * 1024

/** Ends a list that a server continues for ever: a part must not be empty or repeat, and there is a limit for all lists of a command. */
function createListLimits(server: string) {
  let parts = 0
  let bytes = 0
  return ({ items, next_cursor: next }: Page<unknown>, { limit, cursor }: Query, size: number): void => {
    parts += 1
    bytes += size
    const isTooLong = items.length > Number(limit ?? DEFAULT_LIMIT)
    const isStuck = next !== null && (items.length === 0 || next === cursor)
    if (isTooLong || isStuck || parts > MAX_PARTS || bytes > MAX_LISTED_BYTES)
      throw new ServerUnreachable(`${server} answers with a list that does not end`)
  }
}

const isObject = (value: unknown): value is object => value !== null && typeof value === 'object'

function isPage({ items, next_cursor: next }: { items?: unknown; next_cursor?: unknown }): boolean {
  return Array.isArray(items) && items.every(isObject) && (next === null || typeof next === 'string')
}

function notesOf(response: Response, server: string): string[] {
  try {
    return decodeNotes(response.headers.get(NOTES_HEADER))
  } catch (error) {
    throw strangeAnswer(response, server, error)
  }
}

const strangeAnswer = ({ status }: Response, server: string, cause?: unknown): ServerUnreachable =>
  new ServerUnreachable(`${server} has no administration API (status ${status})`, cause)

/** A thousand items, the most that one request asks for, with the longest values that clients and users usually have. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** The name of a problem, or an empty text. */
function problemOf(document: unknown): string {
  const { type } = (document ?? {}) as { readonly type?: unknown }
  return String(type).startsWith(PROBLEM_TYPE) ? String(type).slice(PROBLEM_TYPE.length) : ''
}

function errorOf(response: Response, document: unknown, server: string): Error {
  const { type, detail, title, errors, status, ...fields } = (document ?? {}) as Record<string, unknown>
  const name = problemOf(document)
  const message = [detail, title].find((text) => typeof text === 'string') ?? `status ${response.status}`
  if (Object.hasOwn(PROBLEMS, name)) {
    return new AdminError(name as Problem, message, {
      errors: Array.isArray(errors) ? (errors as FieldError[]) : [],
      fields,
    })
  }
  if (name === 'insufficient-scope')
    return new AdminError('not-allowed', `you may not do this at ${server}: ${message}`)
  if (response.status === 401) {
    const login = commandLine(`login ${server}`)
    return new ServerUnreachable(`${server} does not accept the access token: run ${login}`)
  }
  return new ServerUnreachable(`${server} refused: ${message}`)
}
