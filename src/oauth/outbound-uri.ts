/** Which addresses this server may call: the JWKS and the back-channel logout of a client. */
import { isCallableLoopbackHost } from '../loopback.ts'
import { RegistrationError } from './client-registration/registration-error.ts'

const MAX_LENGTH = 2000

/** The URI has only host, path and query, in a form that all URL parsers interpret in one way. */
const PLAIN = /^https?:\/\/[^\s#@/?\\]+(?:[/?][^\s#\\]*)?$/i

/**
 * @param what names the address in the message
 * @throws {RegistrationError} unless the URI is https, or http on this machine
 */
export function checkOutboundUri(uri: string, what: string): void {
  const refuse = (why: string) => new RegistrationError(`${what} ${why}`)
  if (uri.length > MAX_LENGTH) throw refuse(`is longer than ${MAX_LENGTH} characters`)
  const url = URL.canParse(uri) ? new URL(uri) : undefined
  const local = url?.protocol === 'http:' && isCallableLoopbackHost(url.hostname)
  if (!url || (url.protocol !== 'https:' && !local)) throw refuse('must be https')
  if (!PLAIN.test(uri)) throw refuse('must not have a fragment, a user or white space')
}
