/**
 * `@keyturn/verify`: the library that a service installs to verify access tokens offline. It must not import anything
 * from the server, or any dependency. New guards for a framework go into a file of their own, like express.ts.
 */
export type { AccessTokenClaims } from './access-token-claims.ts'
export { type Scheme, schemeOf, tokenOf } from './authorization-header.ts'
export { type Certificate, clientCertOf } from './certificate.ts'
export type { Confirmation } from './confirmation.ts'
export type { DpopOptions } from './dpop-options.ts'
export { type Challenge, type ErrorResponse, errorResponse } from './error-response.ts'
export { ConfigurationError, VerifyError, type VerifyErrorCode } from './errors.ts'
export {
  type KeyturnExpressOptions,
  keyturnExpress,
  type Middleware,
  requireAcr,
  requireMaxAge,
  requireRole,
  requireScope,
} from './express.ts'
export { type Guard, type KeyturnFastifyOptions, keyturnFastify } from './fastify.ts'
export { type NodeRequest, nodeCredentials } from './node-request.ts'
export type { NonceSecret, NonceSource } from './nonces.ts'
export type { VerifierOptions } from './options.ts'
export type { ClaimProof } from './replay-memory.ts'
export { checkRequirements, type Requirements } from './requirements.ts'
export type { SenderProof } from './sender-check.ts'
export type { AlgorithmName } from './signature-algorithms.ts'
export type { StatusListOptions } from './status-list-poller.ts'
export { createVerifier, type GuardRules, type Verifier } from './verifier.ts'
export { type AuthenticateOptions, type AuthenticationResult, authenticateRequest } from './web.ts'
