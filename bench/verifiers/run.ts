/** One verifier in a process of its own: verifies for as long as bench/verify.ts says, and says how many. */
import { SUBJECTS, type SubjectName } from './subjects.ts'
import { makeTokens } from './tokens.ts'

export interface Go {
  readonly milliseconds: number
}

export interface Took {
  readonly verified: number
  readonly milliseconds: number
}

/** Between two looks at the clock. */
const BATCH = 100

const verify = await SUBJECTS[process.argv[2] as SubjectName].prepare(await makeTokens())

process.on('message', async ({ milliseconds }: Go) => {
  const start = performance.now()
  let verified = 0
  let passed = 0
  while (passed < milliseconds) {
    for (let i = 0; i < BATCH; i += 1) {
      const pending = verify(verified)
      // Only who answers with a promise is waited for: it would slow the others.
      if (pending instanceof Promise) await pending
      verified += 1
    }
    passed = performance.now() - start
  }
  process.send?.({ verified, milliseconds: passed } satisfies Took)
})
process.once('disconnect', () => process.exit())
process.send?.({ verified: 0, milliseconds: 0 } satisfies Took)
