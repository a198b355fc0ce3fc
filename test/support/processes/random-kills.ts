import { setTimeout as wait } from 'node:timers/promises'
import type { Test } from 'tap'
import { type ScaledClock, scaledClock, withSpeed } from '../server/clock.ts'
import { until } from '../server/waiting.ts'
import { afterCrash, type Memory } from './crash-checks.ts'
import { seededFolder, signIn, withOpened } from './data-folder.ts'
import { anyMoment, type Death, type RandomNumber } from './deaths.ts'
import { type ServerProcess, startServer, startServerThatMayDie } from './process.ts'
import { chainOf, load } from './token-load.ts'

const SESSIONS = 6
/** The clock of the server under load runs faster, so that it rotates its keys every two seconds. */
const SPEED = 30
const SETTINGS = { KEY_ROTATION: '1m', VERIFIER_CACHE: '0s', REFRESH_GRACE: '5m', ACCESS_TOKEN_TTL: '2m' }

export interface RandomKillsOptions {
  readonly random?: RandomNumber
  readonly nextDeath?: (random: RandomNumber, round: number) => Death
}

/** Kills one server after the other under load, in the same folder, and checks the next. */
export async function randomKills(
  t: Test,
  times: number,
  { random = Math.random, nextDeath = anyMoment }: RandomKillsOptions = {},
): Promise<void> {
  let clock: ScaledClock = { from: Date.now(), speed: 1 }
  const folder = await seededFolder(t, SETTINGS)
  const memory: Memory = { chains: [], accessTokens: [], ringVersion: 1 }
  const deaths: Record<string, number> = {}
  let acknowledged = 0

  for (let round = 1; round <= times; round += 1) {
    const missing = SESSIONS - memory.chains.length
    const signedIn = (inside: Parameters<typeof signIn>[0]) => signIn(inside, missing)
    memory.chains.push(...(await withOpened(folder, signedIn, scaledClock(clock))).map(chainOf))

    clock = withSpeed(clock, SPEED)
    const death = nextDeath(random, round)
    const moment = Math.round(30 + random() * 1200)
    const dying = await startServerThatMayDie(t, folder, { clock, ...death.options })
    const loaded = dying && load(dying, memory.chains, { outages: death.outages === true })
    if (dying) await killAt(dying, death, moment, memory)
    const { accessTokens, failures } = (await loaded) ?? { accessTokens: [], failures: [] }
    acknowledged += accessTokens.length
    memory.accessTokens.push(...accessTokens)
    deaths[death.name] = (deaths[death.name] ?? 0) + 1

    // As fast as the real one, so that what is valid for minutes is valid while this machine starts a process.
    clock = withSpeed(clock, 1)
    const server = await startServer(t, folder, { clock })
    const problems = await afterCrash(server, folder, memory, scaledClock(clock))
    const what = JSON.stringify({ round, moment, ...death, served: dying !== null })
    t.same([...failures, ...problems], [], `killed ${death.name}: ${what}`)
    await server.kill()
  }
  t.comment(`${JSON.stringify(deaths)}, ${acknowledged} acknowledgements`)
  t.ok(
    acknowledged > times,
    `${acknowledged} acknowledgements, the key ring at version ${memory.ringVersion}`,
  )
}

/** Kills the server some time after clients have been answered under the conditions of this death, unless it has killed itself. */
async function killAt(dying: ServerProcess, death: Death, moment: number, memory: Memory): Promise<void> {
  let dead = false
  const ended = dying.ended.then(() => {
    dead = true
  })
  if (death.byItself) return ended
  await until(() => dead || dying.stderr().includes(death.after ?? ''))
  const before = sum(memory)
  await Promise.race([wait(moment), ended])
  await until(() => dead || sum(memory) > before + 1)
  await dying.kill()
}

const sum = ({ chains }: Memory) => chains.reduce((total, { acknowledged }) => total + acknowledged, 0)
