/**
 * `KILLS=500 node test/soak/slow-disk-kills.soak.ts` kills as often. `KILLS_SEED` repeats the kinds and moments of an earlier run, as far
 * as the machine repeats its own.
 */
import t, { type Test } from 'tap'
import { slowDiskDeath } from '../support/processes/deaths.ts'
import { randomKills } from '../support/processes/random-kills.ts'
import { seededRandom } from '../support/server/seeded-random.ts'

const KILLS = Number(process.env.KILLS ?? 20)
const seed = Number(process.env.KILLS_SEED ?? Date.now() % 1_000_000)

t.test(
  'on a slow disk, kills of the server and of the thread that writes lose nothing acknowledged (docs/security.md Q1)',
  async (t) => {
    t.comment(`KILLS_SEED=${seed}`)
    await randomKills(t as Test, KILLS, { random: seededRandom(seed), nextDeath: slowDiskDeath })
  },
)
