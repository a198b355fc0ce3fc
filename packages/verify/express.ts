/** Guards for Express and Connect. Described by shape, so that this package needs no Express of its own. */
import { checkRequirements, type IncomingShape, incomingToken, type Requirements, refusal } from './bearer.ts'
import type { AccessTokenClaims } from './claims.ts'
import { VerifyError } from './errors.ts'
import type { Verifier } from './verifier.ts'

declare global {
  // Where Express's own types look for what middleware adds; without Express it means nothing.
  namespace Express {
    interface Request {
      /** What the token says, behind `keyturnExpress`. */
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

/** Middleware of Express, Connect, and of anything else that takes (request, response, next). */
export type Middleware = (request: IncomingShape, response: ResponseShape, next: Next) => void

export interface KeyturnExpressOptions {
  readonly verifier: Verifier
  /** False lets requests without a token pass, without claims; a bad token is refused all the same. Default: true. */
  readonly required?: boolean
}

interface Checked {
  readonly claims?: AccessTokenClaims | undefined
  /** Of the verifier that was asked. */
  readonly realm: string
}

/** What `keyturnExpress` found out, for the guards behind it; another middleware's `req.claims` means nothing. */
const checked = new WeakMap<object, Checked>()

/** Verifies the token of every request that comes after it, and puts what it says into `req.claims`. */
export function keyturnExpress({ verifier, required = true }: KeyturnExpressOptions): Middleware {
  const { realm } = verifier
  return middleware({ realm }, async (request) => {
    const token = required ? incomingToken(request) : optionalToken(request)
    const claims = token === undefined ? undefined : await verifier.verify(token)
    checked.set(request, { claims, realm })
    if (claims) (request as { claims?: AccessTokenClaims }).claims = claims
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

function optionalToken(request: IncomingShape): string | undefined {
  try {
    return incomingToken(request)
  } catch (error) {
    if (error instanceof VerifyError && error.code === 'missing_token') return undefined
    throw error
  }
}

function demand(requirements: Requirements): Middleware {
  return middleware(requirements, async (request) => {
    const known = checked.get(request)
    if (!known) throw new Error('requireScope and requireRole belong behind keyturnExpress')
    if (!known.claims) throw new VerifyError('missing_token', 'there is no access token')
    checkRequirements(known.claims, requirements)
  })
}

function middleware(
  { realm, ...requirements }: Requirements & { readonly realm?: string },
  check: (request: IncomingShape) => Promise<void>,
): Middleware {
  return (request, response, next) => {
    check(request).then(
      // What the rest of the chain throws is not ours to answer for.
      () => next(),
      (error: unknown) => {
        if (!(error instanceof VerifyError)) return next(error)
        const known = realm ?? checked.get(request)?.realm ?? ''
        const { status, headers, body } = refusal(error, { ...requirements, realm: known })
        response.statusCode = status
        for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify(body))
      },
    )
  }
}
