import { KeyturnError } from '../../errors.ts'

/** RFC 7591 §3.2.2. */
export type RegistrationErrorCode = 'invalid_redirect_uri' | 'invalid_client_metadata'

/** The metadata of a client or an API breaks a rule, which the message names. */
export class RegistrationError extends KeyturnError<RegistrationErrorCode> {
  constructor(message: string, code: RegistrationErrorCode = 'invalid_client_metadata', cause?: unknown) {
    super(code, message, { cause })
  }
}

/** The secrets that the client has do not permit the change, which the message explains. */
export class ClientSecretRefused extends KeyturnError<'client_secret_refused'> {
  constructor(message: string) {
    super('client_secret_refused', message)
  }
}
