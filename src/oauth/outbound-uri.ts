/** Which addresses of a client this server may call, and which it may show as links (RFC 7591 §2). */
import { isCallableLoopbackHost } from '../loopback.ts'
import { RegistrationError } from './client-registration/registration-error.ts'

const MAX_LENGTH = 2000

/** The URI has only host, path and query, in a form that all URL parsers interpret in one way. */
const PLAIN = /^https?:\/\/[^\s#@/?\\]+(?:[/?][^\s#\\]*)?$/i

/** The same, and a fragment: `https://shop.example/legal#privacy`. */
const PLAIN_WITH_FRAGMENT = /^https?:\/\/[^\s#@/?\\]+(?:[/?#][^\s\\]*)?$/i

/**
 * An address that this server calls: the JWKS, the logo and the back-channel logout of a client.
 * @param what names the address in the message
 * @throws {RegistrationError} unless the URI is https, or http on this machine
 */
export const checkOutboundUri = (uri: string, what: string): void =>
  check(uri, what, PLAIN, 'must not have a fragment, a user or white space')

/**
 * An address of a page to which the pages of this server link.
 * @param what names the address in the message
 * @throws {RegistrationError} unless the URI is https, or http on this machine
 */
export const checkPageUri = (uri: string, what: string): void =>
  check(uri, what, PLAIN_WITH_FRAGMENT, 'must not have a user or white space')

function check(uri: string, what: string, form: RegExp, problem: string): void {
  const refuse = (why: string) => new RegistrationError(`${what} ${why}`)
  if (uri.length > MAX_LENGTH) throw refuse(`is longer than ${MAX_LENGTH} characters`)
  if (/\p{C}/u.test(uri)) throw refuse('has characters that are not allowed in a URI (RFC 3986 §2)')
  const url = URL.canParse(uri) ? new URL(uri) : undefined
  const local = url?.protocol === 'http:' && isCallableLoopbackHost(url.hostname)
  if (!url || (url.protocol !== 'https:' && !local)) throw refuse('must be https')
  if (!form.test(uri)) throw refuse(problem)
}
