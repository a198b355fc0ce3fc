import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { MAX_YOUNG_GENERATION, watchCollections } from '../../src/node/young-generation.ts'

const MODULE = new URL('../../src/node/young-generation.ts', import.meta.url).href

/**
 * In a process of its own, because other tests have made this one's young generation large. Prints the largest size after it has grown, and
 * whether V8's flags are those of the beginning after growth was stopped while it went on.
 */
const PROGRAM = `
  import { setImmediate as turn } from 'node:timers/promises'
  import { cachedDataVersionTag, setFlagsFromString } from 'node:v8'
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
  const flags = cachedDataVersionTag()
  const stopEarly = growYoungGenerationUnderLoad()
  // Hangs if it does not begin.
  while (cachedDataVersionTag() === flags) await largestSizeDuring(10)
  stopEarly()
  const restored = cachedDataVersionTag() === flags

  const stop = growYoungGenerationUnderLoad()
  // Hangs if it does not grow.
  while (youngGenerationSize() < MAX_YOUNG_GENERATION) await largestSizeDuring(100)
  const under = await largestSizeDuring(4000)
  stop()
  console.log(JSON.stringify({ under, restored }))`

t.test('collections that follow one another quickly are those of a server under load', async (t) => {
  const isBusyAt = watchCollections()
  const times = (first: number, apart: number) => Array.from({ length: 11 }, (_, i) => first + i * apart)
  t.same(times(0, 100).filter(isBusyAt), [], 'rarely')
  t.same(times(2000, 99).filter(isBusyAt), [2990], 'after ten of them')
  t.equal(isBusyAt(3000), true)
  t.equal(isBusyAt(3100), false, 'until there is a pause')
})

t.test('under load, the young generation grows up to its limit', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', PROGRAM], {
    env: { PATH: process.env.PATH },
  })
  // V8 doubles it, and may have a few more pages during a collection.
  const { under, restored } = JSON.parse(stdout)
  t.ok(under < 2 * MAX_YOUNG_GENERATION, 'it stops at the limit')
  t.equal(restored, true, 'code that was compiled after the end is accepted from the cache by the next start')
})
