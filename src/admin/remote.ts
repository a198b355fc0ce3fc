/**
 * Administration of another server through its HTTP API: each verb is one request. Must not know how an access token is got, or
 * contain a rule: the server has them.
 */
import { commandLine } from '../command-line.ts'
import { KeyturnError } from '../errors.ts'
import { readBody } from '../oauth/call-client.ts'
import { isDotSegment } from '../path-segment.ts'
import type { Admin } from './admin.ts'
import type { ApisAdmin } from './apis.ts'
import type { AuditAdmin } from './audit.ts'
import { ADMIN_PATH } from './built-ins.ts'
import type { ClientsAdmin } from './clients.ts'
import { AdminError, type FieldError, notFound, PROBLEMS, type Problem } from './errors.ts'
import type { KeysAdmin } from './keys.ts'
import type { RolesAdmin } from './roles.ts'
import type { SessionsAdmin } from './sessions.ts'
import type { UsersAdmin } from './users.ts'
import type { Changed, Condition, Force, Page, PageQuery, ScopeChoice } from './verbs.ts'
import type { VerifiersAdmin } from './verifiers.ts'
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
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>

interface Request {
  /** The answer is a part of a list. */
  readonly isList?: boolean
  readonly query?: Query | undefined
  readonly body?: unknown
  readonly ifMatch?: number | undefined
}

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

/** One request of the API. @throws {AdminError | ServerUnreachable} */
type Call = <T>(method: Method, path: string, request?: Request) => Promise<Changed<T>>

export function createRemoteAdmin(deps: RemoteDeps): Admin {
  const call = createCall(deps)
  return {
    clients: remoteClients(call),
    apis: remoteApis(call),
    roles: remoteRoles(call),
    users: remoteUsers(call),
    sessions: remoteSessions(call),
    keys: remoteKeys(call),
    verifiers: remoteVerifiers(call),
    nodes: { list: (query) => call('GET', '/nodes', { query: { ...query }, isList: true }) },
    findings: { list: () => call('GET', '/findings', { isList: true }) },
    audit: remoteAudit(call),
  }
}

const remoteClients = (call: Call): ClientsAdmin => ({
  list: (query) => list(call, '/clients', query),
  find: (id) => call('GET', path`/clients/${id}`),
  create: (body, choice) => call('POST', '/clients', { body, query: scopeQuery(choice) }),
  update: (id, body, { ifMatch, ...choice } = {}) =>
    call('PATCH', path`/clients/${id}`, {
      body,
      ifMatch,
      query: { ...scopeQuery(choice), ...forceQuery(choice) },
    }),
  disable: (id, { ifMatch, ...choice } = {}) =>
    call('POST', path`/clients/${id}/disable`, { ifMatch, query: forceQuery(choice) }),
  enable: (id, condition) => call('POST', path`/clients/${id}/enable`, condition),
  delete: (id, { ifMatch, ...choice } = {}) =>
    call('DELETE', path`/clients/${id}`, { ifMatch, query: forceQuery(choice) }),
  listSecrets: (id) => call('GET', path`/clients/${id}/secrets`),
  addSecret: (id, body = {}, condition) => call('POST', path`/clients/${id}/secrets`, { body, ...condition }),
  endSecret: (id, secretId, { ifMatch, ...choice } = {}) =>
    call('DELETE', path`/clients/${id}/secrets/${secretId}`, { ifMatch, query: forceQuery(choice) }),
})

const remoteApis = (call: Call): ApisAdmin => ({
  list: (query) => list(call, '/apis', query),
  find: (identifier) => call('GET', path`/apis/${identifier}`),
  create: (body) => call('POST', '/apis', { body }),
  update: (identifier, body, condition) => call('PATCH', path`/apis/${identifier}`, { body, ...condition }),
  delete: (identifier, condition) => call('DELETE', path`/apis/${identifier}`, condition),
})

const remoteRoles = (call: Call): RolesAdmin => ({
  list: (query) => list(call, '/roles', query),
  find: (name) => call('GET', path`/roles/${name}`),
  create: (body, choice) => call('POST', '/roles', { body, query: scopeQuery(choice) }),
  update: (name, body, { ifMatch, ...choice } = {}) =>
    call('PATCH', path`/roles/${name}`, { body, ifMatch, query: scopeQuery(choice) }),
  delete: (name, condition) => call('DELETE', path`/roles/${name}`, condition),
})

const remoteUsers = (call: Call): UsersAdmin => ({
  list: (query) => list(call, '/users', query),
  find: (name) => call('GET', path`/users/${name}`),
  checkNew: (body) => call('POST', '/checks/user', { body }),
  checkPassword: (username, password) => call('POST', '/checks/password', { body: { username, password } }),
  create: (body) => call('POST', '/users', { body }),
  update: (name, body, condition) => call('PATCH', path`/users/${name}`, { body, ...forced(condition) }),
  delete: (name, condition) => call('DELETE', path`/users/${name}`, forced(condition)),
  disable: (name, condition) => call('POST', path`/users/${name}/disable`, forced(condition)),
  enable: (name, condition) => call('POST', path`/users/${name}/enable`, condition),
  setPassword: (name, password, condition) =>
    call('POST', path`/users/${name}/password`, { body: { password }, ...condition }),
  invite: (name, body) => call('POST', path`/users/${name}/invite`, { body }),
  resetLink: (name) => call('POST', path`/users/${name}/reset-link`),
  resetSecondFactor: (name, condition) => call('POST', path`/users/${name}/reset-second-factor`, condition),
})

const remoteSessions = (call: Call): SessionsAdmin => ({
  list: (query) => list(call, '/sessions', query),
  end: (id) => call('DELETE', path`/sessions/${id}`),
  endAll: (filter) => call('DELETE', '/sessions', { query: { ...filter } }),
})

const remoteKeys = (call: Call): KeysAdmin => ({
  find: () => call('GET', '/keys'),
  rotate: (body = {}, condition) => call('POST', '/keys/rotate', { body, ...condition }),
  revoke: (kid, body = {}, condition) => call('POST', path`/keys/${kid}/revoke`, { body, ...condition }),
  simulate: (body) => call('POST', '/keys/simulate', { body }),
})

const remoteVerifiers = (call: Call): VerifiersAdmin => ({
  list: (query) => list(call, '/verifiers', query),
  expect: (name) => call('PUT', path`/verifiers/${name}`),
  forget: (name) => call('DELETE', path`/verifiers/${name}`),
})

const remoteAudit = (call: Call): AuditAdmin => ({
  list: (query) => call('GET', '/audit', { query: { ...query }, isList: true }),
  verify: (anchor) => call('GET', '/audit/verification', { query: { anchor } }),
})

const list = async <T>(call: Call, where: string, query: PageQuery): Promise<Page<T>> =>
  (await call<Page<T>>('GET', where, { query: { ...query }, isList: true })).value

const forced = ({ ifMatch, ...force }: Condition & Force = {}) => ({ ifMatch, query: forceQuery(force) })

const scopeQuery = ({ allowUnowned }: ScopeChoice = {}): Query =>
  allowUnowned ? { allow_unowned: true } : {}

const forceQuery = ({ force }: Force = {}): Query => (force ? { force: true } : {})

/**
 * A path whose values are percent-encoded.
 * @throws {AdminError} not-found for a value that would make it the path of something else
 */
function path(texts: TemplateStringsArray, ...values: readonly string[]): string {
  const dots = values.find(isDotSegment)
  if (dots !== undefined) throw notFound(`nothing can have the name ${dots}`)
  return String.raw({ raw: texts }, ...values.map(encodeURIComponent))
}

/** A request may end any number of sessions. */
const TIMEOUT_MS = 60_000

function createCall({ server, accessToken, fetch: send = fetch }: RemoteDeps): Call {
  return async <T>(
    method: Method,
    where: string,
    { query = {}, body, ifMatch, isList = false }: Request = {},
  ) => {
    const url = new URL(server.replace(/\/$/, '') + ADMIN_PATH + where)
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value))
    const ask = (token: string) =>
      send(url, {
        method,
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: {
          authorization: `Bearer ${token}`,
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(ifMatch === undefined ? {} : { 'if-match': `"${ifMatch}"` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }).catch((error) => {
        throw noAnswer(server, error)
      })
    const token = await accessToken()
    let response = await ask(token)
    // The token may be of a key that was revoked a moment ago, perhaps by a command like this one. Nothing has been done yet.
    if (response.status === 401) {
      await response.body?.cancel()
      response = await ask(await accessToken(token))
    }
    const value = await jsonOf(response, server)
    if (!response.ok) throw errorOf(response, value, server)
    const [, revision] = /^"(\d+)"$/.exec(response.headers.get('etag') ?? '') ?? []
    if (!isObject(value) || (isList && !isPage(value))) throw strangeAnswer(response, server)
    return {
      value: value as T,
      revision: revision === undefined ? null : Number(revision),
      notes: notesOf(response, server),
    }
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

async function jsonOf(response: Response, server: string): Promise<unknown> {
  const body = await readBody(response, MAX_ANSWER_BYTES).catch((error) => {
    throw noAnswer(server, error)
  })
  if (body === null)
    throw new ServerUnreachable(`${server} answers with more than ${MAX_ANSWER_BYTES / 1024 ** 2} MB`)
  try {
    return JSON.parse(body.toString())
  } catch (error) {
    throw strangeAnswer(response, server, error)
  }
}

function errorOf(response: Response, document: unknown, server: string): Error {
  const { type = '', detail, title, errors, status, ...fields } = (document ?? {}) as Record<string, unknown>
  const name = String(type).startsWith(PROBLEM_TYPE) ? String(type).slice(PROBLEM_TYPE.length) : ''
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
