/**
 * Browser sessions for a Fastify app: a backend for the frontend (draft-ietf-oauth-browser-based-apps). Owns cookies,
 * sessions and their tokens; knows nothing of any server but OpenID Connect. One file a concern; routes in routes.ts.
 */

export { BrowserSessionError, type FailureCode } from './errors.ts'
export type { Guard } from './guard.ts'
export type { BrowserSessionOptions, Paths } from './options.ts'
export { browserSession } from './plugin.ts'
export type { BrowserSession } from './request-session.ts'
export type { Claims } from './session.ts'
export {
  type MemoryStoreOptions,
  memoryStore,
  type SessionStore,
  type StoredSession,
} from './session-store.ts'
