import { setTimeout as wait } from 'node:timers/promises'
import type { Test } from 'tap'
import { type ScaledClock, scaledClock, withSpeed } from '../server/clock.ts'
import { until } from '../server/waiting.ts'
import { afterCrash, type Memory } from './crash-checks.ts'
import { seededFolder, signIn, withOpened } from './data-folder.ts'
import { startServer } from './process.ts'
import { chainOf, load } from './token-load.ts'

const SESSIONS = 6
/** The clock of the server under load runs faster, so that it rotates its keys every two seconds. */
const SPEED = 30
const SETTINGS = { KEY_ROTATION: '1m', VERIFIER_CACHE: '0s', REFRESH_GRACE: '5m', ACCESS_TOKEN_TTL: '2m' }

/** Kills one server after the other under load, in the same folder, and checks the next. */
export async function randomKills(t: Test, times: number): Promise<void> {
  let clock: ScaledClock = { from: Date.now(), speed: 1 }
  const folder = await seededFolder(t, SETTINGS)
  const memory: Memory = { chains: [], accessTokens: [], ringVersion: 1 }
  let acknowledged = 0

  for (let round = 1; round <= times; round += 1) {
    const missing = SESSIONS - memory.chains.length
    const signedIn = (inside: Parameters<typeof signIn>[0]) => signIn(inside, missing)
    memory.chains.push(...(await withOpened(folder, signedIn, scaledClock(clock))).map(chainOf))

    clock = withSpeed(clock, SPEED)
    const dying = await startServer(t, folder, { clock })
    const before = sum(memory)
    const loaded = load(dying, memory.chains)
    const moment = Math.round(30 + Math.random() * 1200)
    await wait(moment)
    await until(() => sum(memory) > before + 1)
    await dying.kill()
    const { accessTokens, failures } = await loaded
    acknowledged += accessTokens.length
    memory.accessTokens.push(...accessTokens)

    // As fast as the real one, so that what is valid for minutes is valid while this machine starts a process.
    clock = withSpeed(clock, 1)
    const server = await startServer(t, folder, { clock })
    const problems = await afterCrash(server, folder, memory, scaledClock(clock))
    t.same([...failures, ...problems], [], `killed ${moment} ms into round ${round}`)
    await server.kill()
  }
  t.ok(
    acknowledged > times,
    `${acknowledged} acknowledgements, the key ring at version ${memory.ringVersion}`,
  )
}

const sum = ({ chains }: Memory) => chains.reduce((total, { acknowledged }) => total + acknowledged, 0)
