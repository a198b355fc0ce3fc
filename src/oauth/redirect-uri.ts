/** Which addresses may be registered to send a browser, with a code, back to. Compared to the letter later on. */
import { isLoopbackRedirectUri, loopbackUriWithoutPort } from '../loopback.ts'
import { RegistrationError } from './client-registration/registration-error.ts'

const LONGEST = 2000

/** RFC 3986 §2. What else a browser would take (a backslash, a tab, a full-width dot) it would also rewrite. */
const URI = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/

/**
 * RFC 8252 §7.1: an app's own scheme is a domain name turned round. The dot also keeps out `javascript:`, `data:`,
 * `file:` and whatever else browsers give a meaning to.
 */
const PRIVATE_USE = /^[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+:/i

/**
 * RFC 6749 §3.1.2, RFC 9700 §2.6: absolute, without fragment or user, and https, loopback http or an app's scheme.
 * @param what it is, for the message
 * @throws {RegistrationError} invalid_redirect_uri
 */
export function checkRedirectUri(uri: string, what = 'redirect URI'): void {
  const refuse = (why: string) => new RegistrationError(`${what} ${why}`, 'invalid_redirect_uri')
  if (uri.length > LONGEST) throw refuse(`is longer than ${LONGEST} characters`)
  if (!URI.test(uri)) throw refuse('has characters that no URI has (RFC 3986 §2)')
  if (!URL.canParse(uri)) throw refuse('must be absolute (RFC 6749 §3.1.2)')
  if (uri.includes('#')) throw refuse('must not have a fragment (RFC 6749 §3.1.2)')
  const authority = /^[^:]+:\/\/([^/?]*)/.exec(uri)?.[1] ?? ''
  if (authority.includes('@')) throw refuse('must not name a user')
  if (!isLoopbackRedirectUri(uri) && !isHttps(uri, authority) && !PRIVATE_USE.test(uri)) {
    throw refuse(
      'must be https, http on localhost, or an app’s own scheme with a dot in it (RFC 9700 §2.6, RFC 8252 §7)',
    )
  }
}

/** The host must be written as browsers will show it: one that they decode first could read as another. */
function isHttps(uri: string, authority: string): boolean {
  return /^https:/i.test(uri) && authority.toLowerCase().replace(/:443$/, '') === new URL(uri).host
}

/** The same address, to the letter (RFC 9700 §2.1); the URI is what will be used, not the registered one. */
export function matchesRedirectUri(registered: readonly string[], uri: string): boolean {
  if (registered.includes(uri)) return true
  const withoutPort = loopbackUriWithoutPort(uri)
  return withoutPort !== null && registered.some((one) => loopbackUriWithoutPort(one) === withoutPort)
}

/** Whether the address itself shows whose it is; an app's own scheme or a port on this machine does not. */
export function identifiesClient(uri: string): boolean {
  return /^https:/i.test(uri)
}
