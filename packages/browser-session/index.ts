/**
 * `@keyturn/browser-session`: browser sessions for a Fastify app, as a backend for the frontend
 * (draft-ietf-oauth-browser-based-apps §6.1). It owns cookies, sessions and their tokens, and must not import anything
 * from the server; the issuer is any OpenID provider. plugin.ts puts the parts together, routes.ts has the endpoints.
 */
export { BrowserSessionError, type BrowserSessionErrorCode } from './errors.ts'
export type { Guard } from './guard.ts'
export type { BrowserSessionOptions, Paths } from './options.ts'
export { browserSession } from './plugin.ts'
export type { BrowserSession } from './request-session.ts'
export {
  type MemoryStoreOptions,
  memoryStore,
  type SessionStore,
  type StoredSession,
} from './session-store.ts'
export type { IdTokenClaims } from './tokens.ts'
