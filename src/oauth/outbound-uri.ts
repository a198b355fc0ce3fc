/** Which addresses may be registered for this server to call: a client's keys, and where it is told of a sign-out. */
import { isCallableLoopbackHost } from '../loopback.ts'
import { RegistrationError } from './client-registration/registration-error.ts'

const LONGEST = 2000

/** Host, path and query alone, as everybody would read them. */
const PLAIN = /^https?:\/\/[^\s#@/?\\]+(?:[/?][^\s#\\]*)?$/i

/**
 * @param what it is, for the message
 * @throws {RegistrationError} unless it is an https URL, or http on this machine
 */
export function checkCalledUri(uri: string, what: string): void {
  const refuse = (why: string) => new RegistrationError(`${what} ${why}`)
  if (uri.length > LONGEST) throw refuse(`is longer than ${LONGEST} characters`)
  const url = URL.canParse(uri) ? new URL(uri) : undefined
  const local = url?.protocol === 'http:' && isCallableLoopbackHost(url.hostname)
  if (!url || (url.protocol !== 'https:' && !local)) throw refuse('must be https')
  if (!PLAIN.test(uri)) throw refuse('must not have a fragment, a user or white space')
}
