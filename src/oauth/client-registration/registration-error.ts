import { KeyturnError } from '../../errors.ts'

/** RFC 7591 §3.2.2. */
export type RegistrationErrorCode = 'invalid_redirect_uri' | 'invalid_client_metadata'

/** The metadata of a client or an API breaks a rule, which the message names. */
export class RegistrationError extends KeyturnError<RegistrationErrorCode> {
  /** The member of the metadata, such as `redirect_uris`; undefined if the rule does not know what it checks. */
  readonly field: string | undefined
  constructor(
    message: string,
    code: RegistrationErrorCode = 'invalid_client_metadata',
    cause?: unknown,
    field?: string,
  ) {
    super(code, message, { cause })
    this.field = field
  }
}

/** Runs the rules of one member of the metadata. @throws {RegistrationError} with the name of the member */
export function inField<T>(field: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (!(error instanceof RegistrationError) || error.field !== undefined) throw error
    throw new RegistrationError(error.message, error.code, error.cause, field)
  }
}

/** The secrets that the client has do not permit the change, which the message explains. */
export class ClientSecretRefused extends KeyturnError<'client_secret_refused'> {
  /** The change is possible if the administrator insists. */
  readonly needsForce: boolean
  constructor(message: string, needsForce = false) {
    super('client_secret_refused', message)
    this.needsForce = needsForce
  }
}
