/**
 * `@keyturn/verify`: what a microservice installs. Owns the verification of access tokens, offline; must not
 * import anything of the server, nor any dependency.
 */
export type { AlgorithmName } from './algorithms.ts'
export {
  type Answer,
  bearerToken,
  type Challenge,
  checkRequirements,
  type IncomingShape,
  incomingToken,
  type Requirements,
  refusal,
} from './bearer.ts'
export type { AccessTokenClaims } from './claims.ts'
export { VerifyError, type VerifyErrorCode } from './errors.ts'
export {
  type KeyturnExpressOptions,
  keyturnExpress,
  type Middleware,
  requireRole,
  requireScope,
} from './express.ts'
export { type Guard, type KeyturnFastifyOptions, keyturnFastify } from './fastify.ts'
export type { VerifierOptions } from './options.ts'
export type { StatusOptions } from './status-lists.ts'
export { createVerifier, type Verifier } from './verifier.ts'
export { type Authenticated, authenticateRequest } from './web.ts'
