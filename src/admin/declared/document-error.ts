import { KeyturnError } from '../../errors.ts'

/** The declared state is refused, and nothing was changed. Each problem is one line that begins with its place in the document. */
export class DocumentError extends KeyturnError<'invalid_document'> {
  readonly problems: readonly string[]
  /** 2 if the document itself is wrong; 1 if it contradicts what the server has. */
  readonly exitCode: 1 | 2
  constructor(problems: readonly string[], exitCode: 1 | 2 = 2) {
    super('invalid_document', problems.join('; '))
    this.problems = problems
    this.exitCode = exitCode
  }
}
