/** The problem documents of the OpenAPI document: one response for each status, made from the tables of problems. */
import { PROBLEMS } from '../../admin/errors.ts'
import { REQUEST_PROBLEMS } from './problem.ts'
import type { AdminRoute } from './route.ts'

const header = (description: string) => ({ description, schema: { type: 'string' } })

const RETRY_AFTER = { 'Retry-After': header('Seconds after which to try again.') }
const CHALLENGE = { 'WWW-Authenticate': header('The challenge of RFC 6750 §3.') }

const HEADERS: Readonly<Record<number, object>> = {
  401: CHALLENGE,
  403: CHALLENGE,
  409: RETRY_AFTER,
  429: RETRY_AFTER,
  503: RETRY_AFTER,
}

/** Without 405, which is the response to what is no operation. */
const all = Object.entries({ ...REQUEST_PROBLEMS, ...PROBLEMS }).filter(([, { status }]) => status !== 405)
const nameOf = (status: number): string => `Problem${status}`

/** Node.js refuses such a request before there is a path, so it cannot have a problem document. */
const TOO_LARGE_HEADER = {
  description: 'The header fields, including the URL, are larger than 16 KiB.',
  content: {
    'application/json': {
      schema: {
        type: 'object',
        required: ['error', 'error_description'],
        properties: { error: { type: 'string' }, error_description: { type: 'string' } },
      },
    },
  },
}

/** By name. The description of each names the problems that have its status. */
export const problemResponses: Readonly<Record<string, object>> = {
  ...Object.fromEntries(
    [...new Set(all.map(([, { status }]) => status))].sort().map((status) => [
      nameOf(status),
      {
        description: all
          .filter(([, problem]) => problem.status === status)
          .map(([name, { title }]) => `\`${name}\`: ${title}.`)
          .join(' '),
        ...(HEADERS[status] ? { headers: HEADERS[status] } : {}),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  ),
  [nameOf(431)]: TOO_LARGE_HEADER,
}

/** The responses of an operation besides that of success. */
export function problemsOf({
  method,
  path,
  conditional,
  repeatable,
  problems,
}: AdminRoute): Record<string, { $ref: string }> {
  const changes = method !== 'GET'
  const statuses = [
    400,
    401,
    403,
    ...(path.includes('{') ? [404] : []),
    ...(changes ? [409] : []),
    ...(conditional ? [412] : []),
    // The query can be too large too.
    413,
    ...(changes ? [415] : []),
    // Of `Idempotency-Key`.
    ...(repeatable ? [422, 429] : []),
    431,
    500,
    503,
    ...problems,
  ]
  return Object.fromEntries(
    statuses.map((status) => [String(status), { $ref: `#/components/responses/${nameOf(status)}` }]),
  )
}

/** RFC 9457 §3.1. */
export const PROBLEM = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail'],
  properties: {
    type: {
      type: 'string',
      description: '`urn:keyturn:problem:` and the name of the problem; it never changes.',
    },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'One sentence for the administrator.' },
    safe_from: { type: 'integer', description: 'For a rotation that is not safe: when it will be.' },
    behind: {
      type: 'array',
      items: { type: 'string' },
      description: 'For a rotation that is not safe: expected verifiers that have not fetched the next key.',
    },
    errors: {
      type: 'array',
      description: 'The values that are not valid.',
      items: {
        type: 'object',
        required: ['field', 'message'],
        properties: {
          field: { type: 'string', description: 'The member, parameter or header field.' },
          message: { type: 'string' },
        },
      },
    },
  },
}
