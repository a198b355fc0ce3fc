/** RFC 7591 §3.2.2. */
export type RegistrationErrorCode = 'invalid_redirect_uri' | 'invalid_client_metadata'

/** What was to be registered breaks a rule; the message says which, for whoever registers it. */
export class RegistrationError extends Error {
  readonly code: RegistrationErrorCode
  constructor(message: string, code: RegistrationErrorCode = 'invalid_client_metadata', cause?: unknown) {
    super(message, { cause })
    this.name = 'RegistrationError'
    this.code = code
  }
}
