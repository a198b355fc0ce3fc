/**
 * Administration of another server through its HTTP API: each verb is one request. Must not know how an access token is got, or
 * contain a rule: the server has them.
 */
import { isDotSegment } from '../path-segment.ts'
import type { Admin } from './admin.ts'
import type { ApisAdmin } from './apis.ts'
import type { AuditAdmin } from './audit.ts'
import type { ClientsAdmin } from './clients.ts'
import { notFound } from './errors.ts'
import type { KeysAdmin } from './keys.ts'
import { type Call, createCall, type Query, type RemoteDeps } from './remote-call.ts'
import type { RolesAdmin } from './roles.ts'
import type { SessionsAdmin } from './sessions.ts'
import type { OneTimeLinkView } from './users.schema.ts'
import type { UsersAdmin } from './users.ts'
import type { Condition, Force, Page, PageQuery, ScopeChoice } from './verbs.ts'
import type { VerifiersAdmin } from './verifiers.ts'

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
  create: (body, choice) => call('POST', '/clients', { body, query: scopeQuery(choice), once: true }),
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
  addSecret: (id, body = {}, condition) =>
    call('POST', path`/clients/${id}/secrets`, { body, ...condition, once: true }),
  endSecret: (id, secretId, { ifMatch, ...choice } = {}) =>
    call('DELETE', path`/clients/${id}/secrets/${secretId}`, { ifMatch, query: forceQuery(choice) }),
})

const remoteApis = (call: Call): ApisAdmin => ({
  list: (query) => list(call, '/apis', query),
  find: (identifier) => call('GET', path`/apis/${identifier}`),
  create: (body) => call('POST', '/apis', { body, once: true }),
  update: (identifier, body, condition) => call('PATCH', path`/apis/${identifier}`, { body, ...condition }),
  delete: (identifier, condition) => call('DELETE', path`/apis/${identifier}`, condition),
})

const remoteRoles = (call: Call): RolesAdmin => ({
  list: (query) => list(call, '/roles', query),
  find: (name) => call('GET', path`/roles/${name}`),
  create: (body, choice) => call('POST', '/roles', { body, query: scopeQuery(choice), once: true }),
  update: (name, body, { ifMatch, ...choice } = {}) =>
    call('PATCH', path`/roles/${name}`, { body, ifMatch, query: scopeQuery(choice) }),
  delete: (name, condition) => call('DELETE', path`/roles/${name}`, condition),
})

const remoteUsers = (call: Call): UsersAdmin => ({
  list: (query) => list(call, '/users', query),
  find: (name) => call('GET', path`/users/${name}`),
  checkNew: (body) => call('POST', '/checks/user', { body }),
  checkPassword: (username, password) => call('POST', '/checks/password', { body: { username, password } }),
  create: (body) => call('POST', '/users', { body, once: true }),
  update: (name, body, condition) => call('PATCH', path`/users/${name}`, { body, ...forced(condition) }),
  delete: (name, condition) => call('DELETE', path`/users/${name}`, forced(condition)),
  disable: (name, condition) => call('POST', path`/users/${name}/disable`, forced(condition)),
  enable: (name, condition) => call('POST', path`/users/${name}/enable`, condition),
  setPassword: (name, password, condition) =>
    call('POST', path`/users/${name}/password`, { body: { password }, ...condition }),
  async invite(name, body) {
    const where = path`/users/${name}/invite`
    const invited = await call<OneTimeLinkView>('POST', where, { body, once: true })
    // The answer with the link was lost, so no one can use the link. A new link replaces it.
    return invited.value.link === undefined ? call('POST', where) : invited
  },
  /** May be sent again without a key: another link replaces the one whose answer was lost. */
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
  rotate: (body = {}, condition) => call('POST', '/keys/rotate', { body, ...condition, once: true }),
  revoke: (kid, body = {}, condition) =>
    call('POST', path`/keys/${kid}/revoke`, { body, ...condition, once: true }),
  addLane: (body, condition) => call('POST', '/lanes', { body, ...condition }),
  setDefaultLane: (alg, condition) => call('POST', path`/lanes/${alg}/default`, condition),
  removeLane: (alg, condition) => call('DELETE', path`/lanes/${alg}`, condition),
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
