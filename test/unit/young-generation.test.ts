import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { MAX_YOUNG_GENERATION } from '../../src/node/young-generation.ts'

const MODULE = new URL('../../src/node/young-generation.ts', import.meta.url).href

/** In a process of its own, because other tests have made this one's young generation large. Prints the largest size after it has grown. */
const PROGRAM = `
  import { setImmediate as turn } from 'node:timers/promises'
  import { setFlagsFromString } from 'node:v8'
  import { growYoungGenerationUnderLoad, MAX_YOUNG_GENERATION, youngGenerationSize } from ${JSON.stringify(MODULE)}

  // Keeps the objects of the last turns, as a server keeps those of the requests in progress.
  const live = []
  async function largestSizeDuring(turns) {
    let largest = 0
    for (let i = 0; i < turns; i += 1) {
      live[i % 100] = Array.from({ length: 1000 }, (_, n) => ({ i, n }))
      await turn()
      largest = Math.max(largest, youngGenerationSize())
    }
    return largest
  }

  setFlagsFromString('--semi-space-growth-factor=1')
  const stop = growYoungGenerationUnderLoad()
  // Hangs if it does not grow.
  while (youngGenerationSize() < MAX_YOUNG_GENERATION) await largestSizeDuring(100)
  const under = await largestSizeDuring(4000)
  stop()
  console.log(under)`

t.test('the young generation grows only under load and up to its limit', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', PROGRAM], {
    env: { PATH: process.env.PATH },
  })
  // V8 doubles it, and may have a few more pages during a collection.
  t.ok(Number(stdout) < 2 * MAX_YOUNG_GENERATION, 'it stops at the limit')
})
