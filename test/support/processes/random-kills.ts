import { setTimeout as wait } from 'node:timers/promises'
import type { Test } from 'tap'
import { scaledClock } from '../server/clock.ts'
import { afterCrash, type Memory } from './crash-checks.ts'
import { seededFolder, signIn, withOpened } from './data-folder.ts'
import { startServer } from './process.ts'
import { chainOf, load } from './token-load.ts'

const SESSIONS = 6
/** The server’s clock runs faster, so that it rotates its keys every two seconds. */
const SPEED = 30
const SETTINGS = { KEY_ROTATION: '1m', VERIFIER_CACHE: '0s', REFRESH_GRACE: '5m', ACCESS_TOKEN_TTL: '2m' }

/** Kills one server after the other under load, in the same folder, and checks the next. */
export async function randomKills(t: Test, times: number): Promise<void> {
  const clock = { from: Date.now(), speed: SPEED }
  const folder = await seededFolder(t, SETTINGS)
  const memory: Memory = { chains: [], accessTokens: [], ringVersion: 1 }
  let acknowledged = 0

  for (let round = 1; round <= times; round += 1) {
    const missing = SESSIONS - memory.chains.length
    const signedIn = (inside: Parameters<typeof signIn>[0]) => signIn(inside, missing)
    memory.chains.push(...(await withOpened(folder, signedIn, scaledClock(clock))).map(chainOf))

    const dying = await startServer(t, folder, { clock })
    const loaded = load(dying, memory.chains)
    const moment = Math.round(30 + Math.random() * 1200)
    await wait(moment)
    await dying.kill()
    const { accessTokens, failures } = await loaded
    acknowledged += accessTokens.length
    memory.accessTokens.push(...accessTokens)

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
