/** The response to an authorization request (RFC 6749 §4.1.2, §4.1.2.1; RFC 9207). Pure; signed-response.ts signs it. */
import { type OAuthError, sanitizeDescription } from '../errors.ts'
import type { Pair } from '../parameters.ts'
import type { RedirectTarget } from './redirect-target.ts'

/** How the browser delivers the response: by a redirect, or by posting a form (Form Post Response Mode §2). */
export type AuthorizationResponse =
  | { readonly mode: 'query'; readonly url: string }
  | { readonly mode: 'form_post'; readonly action: string; readonly fields: readonly Pair[] }

export function codeFields(target: RedirectTarget, code: string, issuer: string): Pair[] {
  return responseFields(target, [['code', code]], issuer)
}

export function errorFields(target: RedirectTarget, error: OAuthError, issuer: string): Pair[] {
  const fields: Pair[] = [
    ['error', error.code],
    ['error_description', sanitizeDescription(error.message)],
  ]
  return responseFields(target, fields, issuer)
}

function responseFields({ state }: RedirectTarget, parameters: readonly Pair[], issuer: string): Pair[] {
  return [...parameters, ...(state === undefined ? [] : [['state', state] as const]), ['iss', issuer]]
}

export function deliver(
  { redirectUri, responseMode }: Pick<RedirectTarget, 'redirectUri' | 'responseMode'>,
  fields: readonly Pair[],
): AuthorizationResponse {
  return responseMode === 'form_post' || responseMode === 'form_post.jwt'
    ? { mode: 'form_post', action: redirectUri, fields }
    : { mode: 'query', url: withQuery(redirectUri, fields) }
}

/** Adds parameters to a URI, keeping its query (RFC 6749 §3.1.2). */
export function withQuery(uri: string, fields: readonly Pair[]): string {
  const query = new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value])).toString()
  if (!uri.includes('?')) return `${uri}?${query}`
  return /[?&]$/.test(uri) ? uri + query : `${uri}&${query}`
}
