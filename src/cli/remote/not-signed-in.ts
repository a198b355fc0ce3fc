import { commandLine } from '../../command-line.ts'
import { KeyturnError } from '../../errors.ts'

/** There is no session at the server, or it has ended. */
export class NotSignedIn extends KeyturnError<'not_signed_in'> {
  /** @param why if there was a session */
  constructor(server: string, why = `you are not signed in at ${server}`, cause?: unknown) {
    super('not_signed_in', why, { cause, hint: `run ${commandLine(`login ${server}`)}` })
  }
}

/** Others could have read the tokens, so the file is not used. */
export class ExposedSession extends KeyturnError<'not_signed_in'> {
  constructor(message: string) {
    super('not_signed_in', message)
  }
}
