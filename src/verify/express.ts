/** Guards for Express and Connect. Described by shape, so that this package needs no Express of its own. */
import { bearerToken, checkRequirements, type Requirements, refusal } from './bearer.ts'
import type { AccessTokenClaims } from './claims.ts'
import { VerifyError } from './errors.ts'
import type { Verifier } from './verifier.ts'

interface RequestShape {
  readonly headers: { readonly authorization?: string | undefined }
  claims?: AccessTokenClaims
}

interface ResponseShape {
  statusCode: number
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
}

type Next = (error?: unknown) => void

/** Middleware of Express, Connect, and of anything else that takes (request, response, next). */
export type Middleware = (request: never, response: never, next: Next) => void

export interface KeyturnExpressOptions {
  readonly verifier: Verifier
  /** False lets requests without a token pass, without claims; a bad token is refused all the same. Default: true. */
  readonly required?: boolean
}

/** Verifies the token of every request that comes after it, and puts what it says into `req.claims`. */
export function keyturnExpress({ verifier, required = true }: KeyturnExpressOptions): Middleware {
  return middleware(async (request) => {
    if (!required && request.headers.authorization === undefined) return
    request.claims = await verifier.verify(bearerToken(request.headers.authorization))
  })
}

/** For a route behind `keyturnExpress`: all of these scopes. */
export function requireScope(...scopes: string[]): Middleware {
  return demand({ scopes })
}

/** For a route behind `keyturnExpress`: all of these roles. */
export function requireRole(...roles: string[]): Middleware {
  return demand({ roles })
}

function demand(requirements: Requirements): Middleware {
  return middleware(async ({ claims }) => {
    if (!claims) throw new VerifyError('missing_token', 'there is no access token')
    checkRequirements(claims, requirements)
  }, requirements)
}

function middleware(
  check: (request: RequestShape) => Promise<void>,
  requirements: Requirements = {},
): Middleware {
  return ((request: RequestShape, response: ResponseShape, next: Next) => {
    check(request)
      .then(() => true)
      .catch((error: unknown) => {
        refuse(error, response, requirements)
        return false
      })
      // What the rest of the chain throws is not ours to answer for.
      .then((passed) => passed && next(), next)
  }) as Middleware
}

function refuse(error: unknown, response: ResponseShape, requirements: Requirements): void {
  const { status, headers, body } = refusal(error, requirements)
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(body))
}
