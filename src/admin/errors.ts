/**
 * The one error of administration: a closed table of problems, each with the status of its HTTP response (RFC 9457) and the exit
 * code of its command. Must not know a terminal, HTTP or HTML. A new problem is a row below and a row in docs/errors.md.
 */
import { KeyturnError } from '../errors.ts'

export const PROBLEMS = {
  'invalid-value': { status: 400, exitCode: 2, title: 'A value is not valid' },
  'unowned-scope': { status: 400, exitCode: 1, title: 'No API has the scope' },
  /** The actor would give, or take over, more than it may do itself. */
  'not-allowed': { status: 403, exitCode: 1, title: 'The administrator may not do this' },
  'not-found': { status: 404, exitCode: 1, title: 'There is no such resource' },
  conflict: { status: 409, exitCode: 1, title: 'The change contradicts what is stored' },
  'built-in': { status: 409, exitCode: 1, title: 'The resource is built in' },
  'force-needed': { status: 409, exitCode: 1, title: 'The change would lock somebody out' },
  'rotation-unsafe': { status: 409, exitCode: 1, title: 'The rotation is not safe yet' },
  /** A verifier may lack the key of the algorithm that was chosen. */
  'lane-unsafe': { status: 409, exitCode: 1, title: 'The algorithm is not safe yet' },
  /** `Idempotency-Key` was used before; see idempotency.ts. */
  'idempotency-mismatch': { status: 422, exitCode: 1, title: 'The key was used for another request' },
  'idempotency-in-progress': { status: 409, exitCode: 1, title: 'The first request is in progress' },
  'idempotency-unknown': { status: 409, exitCode: 1, title: 'The first request did not finish' },
  'too-many-requests': { status: 429, exitCode: 1, title: 'There were too many requests' },
  /** `If-Match` names an older revision (RFC 9110 §13.1.1). */
  'precondition-failed': { status: 412, exitCode: 1, title: 'The resource has changed' },
} as const

export type Problem = keyof typeof PROBLEMS

/** A value that is not valid, by the name of its member in the request. */
export interface FieldError {
  readonly field: string
  readonly message: string
}

export interface AdminErrorOptions {
  readonly cause?: unknown
  readonly errors?: readonly FieldError[]
  /** Added to the JSON of the command and to the problem document, such as `safe_from`. */
  readonly fields?: Readonly<Record<string, unknown>>
  /** Seconds after which to try again. */
  readonly retryAfter?: number
}

/** The request was refused and changed nothing. The message is one line for the administrator. */
export class AdminError extends KeyturnError<'administration_refused'> {
  readonly problem: Problem
  readonly errors: readonly FieldError[]
  readonly fields: Readonly<Record<string, unknown>>
  readonly retryAfter: number | undefined
  constructor(
    problem: Problem,
    message: string,
    { cause, errors = [], fields = {}, retryAfter }: AdminErrorOptions = {},
  ) {
    super('administration_refused', message, { cause })
    this.problem = problem
    this.errors = errors
    this.fields = fields
    this.retryAfter = retryAfter
  }
}

export const notFound = (message: string): AdminError => new AdminError('not-found', message)
export const conflict = (message: string): AdminError => new AdminError('conflict', message)

/** @param field the member of the request */
export const invalidValue = (field: string, message: string, cause?: unknown): AdminError =>
  new AdminError('invalid-value', message, { cause, errors: [{ field, message }] })
