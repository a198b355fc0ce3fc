/** The answer to an authorization request (RFC 6749 §4.1.2, §4.1.2.1; RFC 9207). Pure. */
import { describable, type OAuthError } from '../errors.ts'
import type { Pair } from '../parameters.ts'
import type { Recipient } from './redirect-target.ts'

/** Where the browser goes next: by redirect, or by a form that it posts (OAuth 2.0 Form Post Response Mode). */
export type AuthorizationResponse =
  | { readonly mode: 'query'; readonly url: string }
  | { readonly mode: 'form_post'; readonly action: string; readonly fields: readonly Pair[] }

export function codeResponse(recipient: Recipient, code: string, issuer: string): AuthorizationResponse {
  return respond(recipient, [['code', code]], issuer)
}

export function errorResponse(
  recipient: Recipient,
  error: OAuthError,
  issuer: string,
): AuthorizationResponse {
  const fields: Pair[] = [
    ['error', error.code],
    ['error_description', describable(error.message)],
  ]
  return respond(recipient, fields, issuer)
}

function respond(recipient: Recipient, answer: readonly Pair[], issuer: string): AuthorizationResponse {
  const { redirectUri, responseMode, state } = recipient
  const fields: Pair[] = [
    ...answer,
    ...(state === undefined ? [] : [['state', state] as const]),
    ['iss', issuer],
  ]
  return responseMode === 'form_post'
    ? { mode: 'form_post', action: redirectUri, fields }
    : { mode: 'query', url: withQuery(redirectUri, fields) }
}

/** RFC 6749 §3.1.2: a query that the URI has already stays as it is. */
export function withQuery(uri: string, fields: readonly Pair[]): string {
  const added = new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value])).toString()
  if (!uri.includes('?')) return `${uri}?${added}`
  return /[?&]$/.test(uri) ? uri + added : `${uri}&${added}`
}
