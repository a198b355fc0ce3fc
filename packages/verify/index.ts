/**
 * `@keyturn/verify`: the library that a service installs to verify access tokens offline. It must not import anything
 * from the server, or any dependency. New guards for a framework go into a file of their own, like express.ts.
 */
export type { AccessTokenClaims } from './access-token-claims.ts'
export { bearerToken, incomingToken, type NodeRequest } from './bearer-token.ts'
export { type Challenge, type ErrorResponse, errorResponse } from './error-response.ts'
export { ConfigurationError, VerifyError, type VerifyErrorCode } from './errors.ts'
export {
  type KeyturnExpressOptions,
  keyturnExpress,
  type Middleware,
  requireRole,
  requireScope,
} from './express.ts'
export { type Guard, type KeyturnFastifyOptions, keyturnFastify } from './fastify.ts'
export type { VerifierOptions } from './options.ts'
export { checkRequirements, type Requirements } from './requirements.ts'
export type { AlgorithmName } from './signature-algorithms.ts'
export type { StatusListOptions } from './status-list-poller.ts'
export { createVerifier, type Verifier } from './verifier.ts'
export { type AuthenticationResult, authenticateRequest } from './web.ts'
