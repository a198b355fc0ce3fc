/** Guards for Express and Connect. The types describe only what is used, so the package does not depend on Express. */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { type Challenge, errorResponse, nonceHeaders } from './error-response.ts'
import { VerifyError } from './errors.ts'
import { type NodeRequest, nodeCredentials, schemeOfRequest } from './node-request.ts'
import {
  type AcrArguments,
  acrRequirements,
  checkRequirements,
  maxAgeRequirements,
  type Requirements,
  type RoleArguments,
  roleRequirements,
  scopeRequirements,
} from './requirements.ts'
import { refuseUnknown } from './unknown-options.ts'
import type { Verifier } from './verifier.ts'

declare global {
  // Express's own types look here for properties that middleware adds.
  namespace Express {
    interface Request {
      /** The claims of the access token; set by `keyturnExpress`. */
      claims?: AccessTokenClaims
    }
  }
}

interface ResponseShape {
  statusCode: number
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
}

type Next = (error?: unknown) => void

/** Middleware for Express, Connect and every other framework that calls (request, response, next). */
export type Middleware = (request: NodeRequest, response: ResponseShape, next: Next) => void

export interface KeyturnExpressOptions {
  readonly verifier: Verifier
  /**
   * With false, a request without a token passes without claims; a request with a bad token is still refused.
   * Default: true.
   */
  readonly required?: boolean
}

interface Authentication {
  readonly claims?: AccessTokenClaims | undefined
  readonly verifier: Verifier
}

/** What `keyturnExpress` found, for `requireScope` and the other guards of routes. Other middleware could have set `req.claims`. */
const authentications = new WeakMap<object, Authentication>()

/**
 * Verifies the token of every request that passes through, and sets `req.claims`. A refused request is answered as
 * RFC 6750 §3, RFC 9449 §7 and RFC 9470 §3 say; an error that is not a VerifyError goes to `next`.
 */
export function keyturnExpress(options: KeyturnExpressOptions): Middleware {
  refuseUnknown('keyturnExpress', options, ['verifier', 'required'])
  const { verifier, required = true } = options
  return middleware(
    () => verifier,
    {},
    async (request, response) => {
      // A second keyturnExpress must not verify again: a DPoP proof is accepted only once.
      const known = authentications.get(request)
      if (known?.verifier === verifier && known.claims) return
      const credentials = required
        ? nodeCredentials(request, verifier.guard)
        : optionalCredentials(request, verifier)
      const onNonce = (nonce: string) => setHeaders(response, nonceHeaders(nonce))
      const claims =
        credentials && (await verifier.verify(credentials.token, { ...credentials.sender, onNonce }))
      authentications.set(request, { claims, verifier })
      if (claims) (request as { claims?: AccessTokenClaims }).claims = claims
    },
  )
}

/** Requires all of these scopes; otherwise the response is 403. Use it on a route behind `keyturnExpress`. */
export function requireScope(...scopes: string[]): Middleware {
  return requirementGuard(scopeRequirements(scopes))
}

/**
 * Requires all of these roles, and the scopes that may follow them: `requireRole('manager', { scope: 'orders:write' })`;
 * otherwise the response is 403. Use it on a route behind `keyturnExpress`.
 */
export function requireRole(...args: RoleArguments): Middleware {
  return requirementGuard(roleRequirements(args))
}

/**
 * Requires a user who has authenticated at one of these levels, and perhaps recently: `requireAcr('phr', { maxAge: 300 })`; otherwise the
 * response is a 401 that tells the client what to ask the issuer for (RFC 9470). Use it on a route behind `keyturnExpress`.
 */
export function requireAcr(...args: AcrArguments): Middleware {
  return requirementGuard(acrRequirements(args))
}

/** Requires a user who has authenticated at most this many seconds ago (RFC 9470). Use it on a route behind `keyturnExpress`. */
export function requireMaxAge(seconds: number): Middleware {
  return requirementGuard(maxAgeRequirements(seconds))
}

function optionalCredentials(request: NodeRequest, { guard }: Verifier) {
  try {
    return nodeCredentials(request, guard)
  } catch (error) {
    if (error instanceof VerifyError && error.code === 'missing_token') return undefined
    throw error
  }
}

function requirementGuard(requirements: Requirements): Middleware {
  return middleware(
    (request) => authentications.get(request)?.verifier,
    requirements,
    async (request) => {
      const authentication = authentications.get(request)
      if (!authentication)
        throw new Error(
          'requireScope, requireRole, requireAcr and requireMaxAge must come after keyturnExpress',
        )
      const { claims, verifier } = authentication
      if (!claims) throw new VerifyError('missing_token', 'the request has no access token')
      checkRequirements(claims, requirements, verifier.guard.time())
    },
  )
}

function middleware(
  verifierOf: (request: NodeRequest) => Verifier | undefined,
  requirements: Requirements,
  check: (request: NodeRequest, response: ResponseShape) => Promise<void>,
): Middleware {
  return (request, response, next) => {
    check(request, response).then(
      // `next` is not called inside a try block, because an error that a later handler throws must not become a 401.
      () => next(),
      (error: unknown) => {
        const verifier = verifierOf(request)
        if (!(error instanceof VerifyError) || !verifier) return next(error)
        const scheme = schemeOfRequest(request)
        const challenge: Challenge = { realm: verifier.realm, ...verifier.guard, scheme, ...requirements }
        const { status, headers, body } = errorResponse(error, challenge)
        response.statusCode = status
        setHeaders(response, { ...headers, 'content-type': 'application/json' })
        response.end(JSON.stringify(body))
      },
    )
  }
}

function setHeaders(response: ResponseShape, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}
