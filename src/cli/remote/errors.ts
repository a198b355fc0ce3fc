import { commandLine } from '../../command-line.ts'
import { KeyturnError } from '../../errors.ts'

/** There is no session at the server, or it has ended. */
export class NotSignedIn extends KeyturnError<'not_signed_in'> {
  /** @param why if there was a session */
  constructor(server: string, why = `you are not signed in at ${server}`, cause?: unknown) {
    super('not_signed_in', why, { cause, hint: `run ${commandLine(`login ${server}`)}` })
  }
}

/** A sign-in, or what a sign-in left, cannot be used. The message is one line. */
export class SignInFailed extends KeyturnError<'sign_in_failed'> {
  constructor(message: string, cause?: unknown) {
    super('sign_in_failed', message, { cause })
  }
}
