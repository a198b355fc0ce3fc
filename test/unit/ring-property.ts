import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Test } from 'tap'
import { DAY, HOUR, MINUTE } from '../support/server/keys.ts'
import { type Action, LANES, openWorld, type Settings } from './ring-simulation.ts'

const node = fc.constantFrom(0, 1) as fc.Arbitrary<0 | 1>
const lane = fc.constantFrom(...LANES)
const laneOrNone = fc.option(lane, { freq: 2 })
const seconds = fc.oneof(
  fc.integer({ min: 0, max: 12 }),
  fc.integer({ min: 1, max: 10 * MINUTE }),
  fc.integer({ min: 1, max: 2 * DAY }),
  fc.constant(30 * DAY),
)
const lifetime = fc.oneof(
  fc.integer({ min: 1, max: 2 * MINUTE }),
  fc.constantFrom(10 * MINUTE, HOUR, DAY, 40 * DAY),
)

const simple: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('tick' as const), seconds }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('sign' as const),
      node,
      lifetime,
      as: fc.constantFrom('default' as const, 'api' as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fetch' as const), node }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('follow' as const), node }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('maintain' as const), node }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('restart' as const), node, cleanly: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('rotate' as const), force: fc.boolean(), lane: laneOrNone }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('revoke' as const),
      which: fc.constantFrom('active' as const, 'next' as const, 'retiring' as const),
      lane,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('add' as const, 'default' as const, 'remove' as const),
      lane,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('choose' as const), lane: laneOrNone }) },
)

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 9, arbitrary: simple },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('together' as const),
      actions: fc.array(simple, { minLength: 2, maxLength: 6 }),
    }),
  },
)

const settings: fc.Arbitrary<Settings> = fc.record({
  lanes: fc.constantFrom(['ES256'] as const, ['ES256', 'EdDSA'] as const),
  policy: fc.record({
    verifierCache: fc.constantFrom(0, 10 * MINUTE, DAY),
    keyRotation: fc.constantFrom(null, MINUTE, HOUR, 30 * DAY),
    jwksMaxAge: fc.constantFrom(0, 5 * MINUTE, DAY),
  }),
  clockErrors: fc.tuple(fc.integer({ min: -30, max: 30 }), fc.integer({ min: -30, max: 30 })),
})

interface Runs {
  /** A failure prints the seed and the path to its smallest case. */
  readonly seed: number
  readonly numRuns: number
}

/** Checks the key ring at every instant of random schedules. The environment may choose another seed and more runs. */
export async function ringProperty(t: Test, runs: Runs): Promise<void> {
  const seed = Number(process.env.PROPERTY_SEED ?? runs.seed)
  const numRuns = Number(process.env.PROPERTY_RUNS ?? runs.numRuns)
  // In memory if possible: thousands of commits, none of which has to outlive the test.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'keyturn-ring-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  let schedules = 0
  let verified = 0
  const property = fc.asyncProperty(
    settings,
    fc.array(action, { minLength: 10, maxLength: 60 }),
    async (chosen, actions) => {
      schedules += 1
      const world = await openWorld(join(folder, `${schedules}.db`), chosen)
      try {
        for (const one of actions) {
          await world.act(one)
          await world.check()
        }
        verified += await world.verifyAll()
      } finally {
        await world.close()
      }
    },
  )
  await fc.assert(property, { seed, numRuns, endOnFailure: process.env.PROPERTY_SHRINK === 'no' })
  t.ok(schedules >= numRuns)
  t.ok(verified > numRuns, `${verified} tokens were live in the end and verified`)
  t.comment(`${schedules} schedules with seed ${seed}`)
}
