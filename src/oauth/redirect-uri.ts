/** Which redirect URIs may be registered, and which URI of a request matches one (RFC 9700 §2.1). Pure. */
import { isLoopbackRedirectUri, loopbackUriWithoutPort } from '../loopback.ts'
import { RegistrationError } from './client-registration/registration-error.ts'

const MAX_LENGTH = 2000

/** RFC 3986 §2. Browsers also accept other characters, such as a backslash, a tab or a full-width dot, but rewrite them. */
const URI = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/

/**
 * RFC 8252 §7.1: a private-use scheme is a reversed domain name. The required dot also excludes `javascript:`, `data:`,
 * `file:` and other schemes with a meaning for browsers.
 */
const PRIVATE_USE = /^[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+:/i

/**
 * RFC 6749 §3.1.2, RFC 9700 §2.6: absolute, without a fragment or user information, and with https, loopback http or a
 * private-use scheme.
 * @param what names the URI in the message
 * @throws {RegistrationError} invalid_redirect_uri
 */
export function checkRedirectUri(uri: string, what = 'redirect URI'): void {
  const refuse = (why: string) => new RegistrationError(`${what} ${why}`, 'invalid_redirect_uri')
  if (uri.length > MAX_LENGTH) throw refuse(`is longer than ${MAX_LENGTH} characters`)
  if (!URI.test(uri)) throw refuse('has characters that are not allowed in a URI (RFC 3986 §2)')
  if (!URL.canParse(uri)) throw refuse('must be absolute (RFC 6749 §3.1.2)')
  if (uri.includes('#')) throw refuse('must not have a fragment (RFC 6749 §3.1.2)')
  const authority = /^[^:]+:\/\/([^/?]*)/.exec(uri)?.[1] ?? ''
  if (authority.includes('@')) throw refuse('must not contain user information')
  // Such a URI would be registered and never match a request.
  if (uri.includes('*')) {
    throw refuse(
      'must not contain *: URIs are compared character by character, without wildcards (RFC 9700 §2.1)',
    )
  }
  if (/:0*$/.test(authority)) {
    throw refuse(
      'must not have port 0 or an empty port: leave the port out, and any port matches at 127.0.0.1 and [::1] (RFC 8252 §7.3)',
    )
  }
  if (!isLoopbackRedirectUri(uri) && !isHttps(uri, authority) && !PRIVATE_USE.test(uri)) {
    throw refuse(
      'must be https, http on localhost, or an app’s own scheme with a dot in it (RFC 9700 §2.6, RFC 8252 §7)',
    )
  }
}

/**
 * The host must be written as browsers display it. A host that browsers would rewrite (percent-encoding, IDN) could imitate
 * another.
 */
function isHttps(uri: string, authority: string): boolean {
  return /^https:/i.test(uri) && authority.toLowerCase().replace(/:443$/, '') === new URL(uri).host
}

/** Exact string comparison (RFC 9700 §2.1), except for the port of a loopback address. */
export function matchesRedirectUri(registered: readonly string[], uri: string): boolean {
  if (registered.includes(uri)) return true
  const withoutPort = loopbackUriWithoutPort(uri)
  return (
    withoutPort !== null &&
    registered.some((registeredUri) => loopbackUriWithoutPort(registeredUri) === withoutPort)
  )
}

/** Whether only one client can receive responses at this address. Any app can claim a private-use scheme or a loopback port. */
export function identifiesClient(uri: string): boolean {
  return /^https:/i.test(uri)
}
