/** Guards for Express and Connect. The types describe only what is used, so the package does not depend on Express. */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { incomingToken, type NodeRequest } from './bearer-token.ts'
import { errorResponse } from './error-response.ts'
import { VerifyError } from './errors.ts'
import { checkRequirements, type Requirements, type RoleArguments, roleRequirements } from './requirements.ts'
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
  /** The realm of the verifier that checked the token. */
  readonly realm: string
}

/** What `keyturnExpress` found, for `requireScope` and `requireRole`. Other middleware could have set `req.claims`. */
const authentications = new WeakMap<object, Authentication>()

/**
 * Verifies the token of every request that passes through, and sets `req.claims`. A refused request is answered as
 * RFC 6750 §3 says; an error that is not a VerifyError goes to `next`.
 */
export function keyturnExpress(options: KeyturnExpressOptions): Middleware {
  refuseUnknown('keyturnExpress', options, ['verifier', 'required'])
  const { verifier, required = true } = options
  const { realm } = verifier
  return middleware({ realm }, async (request) => {
    const token = required ? incomingToken(request) : optionalToken(request)
    const claims = token === undefined ? undefined : await verifier.verify(token)
    authentications.set(request, { claims, realm })
    if (claims) (request as { claims?: AccessTokenClaims }).claims = claims
  })
}

/** Requires all of these scopes; otherwise the response is 403. Use it on a route behind `keyturnExpress`. */
export function requireScope(...scopes: string[]): Middleware {
  return requirementGuard({ scopes })
}

/**
 * Requires all of these roles, and the scopes that may follow them: `requireRole('manager', { scope: 'orders:write' })`;
 * otherwise the response is 403. Use it on a route behind `keyturnExpress`.
 */
export function requireRole(...args: RoleArguments): Middleware {
  return requirementGuard(roleRequirements(args))
}

function optionalToken(request: NodeRequest): string | undefined {
  try {
    return incomingToken(request)
  } catch (error) {
    if (error instanceof VerifyError && error.code === 'missing_token') return undefined
    throw error
  }
}

function requirementGuard(requirements: Requirements): Middleware {
  return middleware(requirements, async (request) => {
    const authentication = authentications.get(request)
    if (!authentication) throw new Error('requireScope and requireRole must come after keyturnExpress')
    if (!authentication.claims) throw new VerifyError('missing_token', 'the request has no access token')
    checkRequirements(authentication.claims, requirements)
  })
}

function middleware(
  { realm, ...requirements }: Requirements & { readonly realm?: string },
  check: (request: NodeRequest) => Promise<void>,
): Middleware {
  return (request, response, next) => {
    check(request).then(
      // `next` is not called inside a try block, because an error that a later handler throws must not become a 401.
      () => next(),
      (error: unknown) => {
        if (!(error instanceof VerifyError)) return next(error)
        const challenge = { ...requirements, realm: realm ?? authentications.get(request)?.realm ?? '' }
        const { status, headers, body } = errorResponse(error, challenge)
        response.statusCode = status
        for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify(body))
      },
    )
  }
}
