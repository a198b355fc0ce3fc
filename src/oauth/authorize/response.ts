/** The response to an authorization request (RFC 6749 §4.1.2, §4.1.2.1; RFC 9207). Pure. */
import { type OAuthError, sanitizeDescription } from '../errors.ts'
import type { Pair } from '../parameters.ts'
import type { RedirectTarget } from './redirect-target.ts'

/** How the browser delivers the response: by a redirect, or by posting a form (Form Post Response Mode §2). */
export type AuthorizationResponse =
  | { readonly mode: 'query'; readonly url: string }
  | { readonly mode: 'form_post'; readonly action: string; readonly fields: readonly Pair[] }

export function codeResponse(target: RedirectTarget, code: string, issuer: string): AuthorizationResponse {
  return createResponse(target, [['code', code]], issuer)
}

export function errorResponse(
  target: RedirectTarget,
  error: OAuthError,
  issuer: string,
): AuthorizationResponse {
  const fields: Pair[] = [
    ['error', error.code],
    ['error_description', sanitizeDescription(error.message)],
  ]
  return createResponse(target, fields, issuer)
}

function createResponse(
  target: RedirectTarget,
  parameters: readonly Pair[],
  issuer: string,
): AuthorizationResponse {
  const { redirectUri, responseMode, state } = target
  const fields: Pair[] = [
    ...parameters,
    ...(state === undefined ? [] : [['state', state] as const]),
    ['iss', issuer],
  ]
  return responseMode === 'form_post'
    ? { mode: 'form_post', action: redirectUri, fields }
    : { mode: 'query', url: withQuery(redirectUri, fields) }
}

/** Adds parameters to a URI, keeping its query (RFC 6749 §3.1.2). */
export function withQuery(uri: string, fields: readonly Pair[]): string {
  const query = new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value])).toString()
  if (!uri.includes('?')) return `${uri}?${query}`
  return /[?&]$/.test(uri) ? uri + query : `${uri}&${query}`
}
