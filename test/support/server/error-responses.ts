import type { LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'

/** RFC 6749 §5.2: the characters allowed in `error` and `error_description`. */
const LEGAL = /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/

/** Headers that an error response may have; any other would have been injected or reveals too much. */
const HEADERS = [
  'access-control-allow-origin',
  'access-control-expose-headers',
  'allow',
  'cache-control',
  'connection',
  'content-length',
  'content-type',
  'date',
  'dpop-nonce',
  'pragma',
  'retry-after',
  'www-authenticate',
  'x-content-type-options',
]

interface Refusal {
  readonly status?: number
  readonly error: string
}

/** Checks the whole form of an OAuth error (RFC 6749 §5.2; docs/security.md A8, A9) and its code. */
export function refused(
  t: Test,
  answer: LightMyRequestResponse,
  { status = 400, error }: Refusal,
  label = '',
): void {
  const expected = { status, error, problems: [] }
  const { error: code, problems } = formOf(answer)
  t.same({ status: answer.statusCode, error: code, problems }, expected, `${label} → ${status} ${error}`)
}

/** Checks the form alone, for inputs that may be refused in several ways. */
export function wellFormed(t: Test, answer: LightMyRequestResponse, label = ''): void {
  t.same(formOf(answer).problems, [], label)
}

function formOf({ headers, body }: LightMyRequestResponse): { error: unknown; problems: string[] } {
  const problems: string[] = []
  if (!/^application\/json(;|$)/.test(String(headers['content-type']))) problems.push('not JSON by its type')
  if (headers['cache-control'] !== 'no-store') problems.push('not no-store')
  for (const name of Object.keys(headers)) if (!HEADERS.includes(name)) problems.push(`header ${name}`)
  try {
    const { error, error_description: description, ...rest } = JSON.parse(body)
    if (!/^[a-z_]+$/.test(error)) problems.push(`error is ${error}`)
    if (!LEGAL.test(description)) problems.push(`description is ${JSON.stringify(description)}`)
    if (Object.keys(rest).length > 0) problems.push(`also has ${Object.keys(rest)}`)
    return { error, problems }
  } catch {
    return { error: undefined, problems: [...problems, `not JSON: ${body.slice(0, 100)}`] }
  }
}
