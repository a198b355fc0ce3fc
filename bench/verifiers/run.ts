/** A process with one verifier. On each message of bench/verify.ts it verifies for the given time and returns the count. */
import { SUBJECTS, type SubjectName } from './subjects.ts'
import { createTokens } from './tokens.ts'

export interface VerifyCommand {
  readonly milliseconds: number
}

export interface VerifyResult {
  readonly verified: number
  readonly milliseconds: number
}

/** Verifications between two reads of the clock. */
const BATCH = 100

const verify = await SUBJECTS[process.argv[2] as SubjectName].prepare(await createTokens())

process.on('message', async ({ milliseconds }: VerifyCommand) => {
  const start = performance.now()
  let verified = 0
  let elapsed = 0
  while (elapsed < milliseconds) {
    for (let i = 0; i < BATCH; i += 1) {
      const pending = verify(verified)
      // Awaiting the result of a synchronous verifier would slow it down.
      if (pending instanceof Promise) await pending
      verified += 1
    }
    elapsed = performance.now() - start
  }
  process.send?.({ verified, milliseconds: elapsed } satisfies VerifyResult)
})
process.once('disconnect', () => process.exit())
process.send?.({ verified: 0, milliseconds: 0 } satisfies VerifyResult)
