import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { DAY, HOUR, MINUTE } from '../support/server/keys.ts'
import { type Action, openWorld, type Settings } from './ring-simulation.ts'

/** Another seed, or more runs, for a soak test; a failure prints both the seed and the path to its smallest case. */
const seed = Number(process.env.PROPERTY_SEED ?? 20_260_731)
const numRuns = Number(process.env.PROPERTY_RUNS ?? 150)

const node = fc.constantFrom(0, 1) as fc.Arbitrary<0 | 1>
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
  { weight: 6, arbitrary: fc.record({ do: fc.constant('sign' as const), node, lifetime }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fetch' as const), node }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('follow' as const), node }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('maintain' as const), node }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('restart' as const), node, cleanly: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rotate' as const), force: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('revoke' as const),
      which: fc.constantFrom('active' as const, 'next' as const, 'retiring' as const),
    }),
  },
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
  policy: fc.record({
    verifierCache: fc.constantFrom(0, 10 * MINUTE, DAY),
    keyRotation: fc.constantFrom(null, MINUTE, HOUR, 30 * DAY),
    jwksMaxAge: fc.constantFrom(0, 5 * MINUTE, DAY),
  }),
  clockErrors: fc.tuple(fc.integer({ min: -30, max: 30 }), fc.integer({ min: -30, max: 30 })),
})

t.test(
  'at every instant the key ring has one active key, keeps keys of live tokens, erases private halves in time and respects caches (OpenID Connect Core §10.1.1; docs/security.md H92, Q10)',
  async (t) => {
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
  },
)
