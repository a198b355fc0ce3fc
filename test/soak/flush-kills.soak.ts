import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { afterCrash, type Memory } from '../support/processes/crash-checks.ts'
import {
  emptyFolder,
  type Folder,
  seededFolder,
  signIn,
  withOpened,
} from '../support/processes/data-folder.ts'
import { withoutStrace } from '../support/processes/fault-injection.ts'
import {
  type ProcessOptions,
  runProgram,
  startServer,
  startServerThatMayDie,
} from '../support/processes/process.ts'
import { chainOf, load } from '../support/processes/token-load.ts'
import { type ScaledClock, scaledClock, withSpeed } from '../support/server/clock.ts'

/** Dies in the nth of these system calls; the call itself is not executed. */
const dieIn = (calls: string, nth: number): Pick<ProcessOptions, 'wrap'> => ({
  wrap: [
    ...['strace', '-D', '-f', '-o', '/dev/null', '-e', `trace=${calls}`],
    ...['-e', `inject=${calls}:error=EIO:signal=KILL:when=${nth}`],
  ],
})

/** A first start in an empty folder; true if it was killed before it reported that it serves. */
async function startAndDie(folder: Folder, options: ProcessOptions): Promise<boolean> {
  const program = runProgram(folder, ['serve', '--json'], options)
  const serving = new Promise<boolean>((resolve) => {
    program.child.stdout?.once('data', () => resolve(false))
    program.ended.then(() => resolve(true))
  })
  const died = await serving
  program.child.kill('SIGKILL')
  await program.ended
  return died
}

/** Kills first starts in the first, second, … of these calls, until one completes; every `step`th call is tried. */
async function killFirstStarts(t: Test, calls: string, step = 1): Promise<void> {
  let nth = 1
  for (; ; nth += step) {
    const folder = emptyFolder(t)
    const died = await startAndDie(folder, dieIn(calls, nth))
    const server = await startServer(t, folder)
    const memory: Memory = { chains: [], accessTokens: [], ringVersion: 1 }
    t.same(await afterCrash(server, folder, memory), [], `call ${nth}`)
    await server.kill()
    if (!died) break
  }
  t.ok(nth > 1, `${nth - 1} calls of ${calls}`)
}

/** Kills a rotating server in the first, second, … flush of its database: the first ones before it is ready, all others under load. */
async function killInFlushes(t: Test, flushes: number): Promise<void> {
  let underLoad = 0
  let clock: ScaledClock = { from: Date.now(), speed: 1 }
  const folder = await seededFolder(t, { KEY_ROTATION: '1m', VERIFIER_CACHE: '0s', REFRESH_GRACE: '5m' })
  const memory: Memory = { chains: [], accessTokens: [], ringVersion: 1 }
  for (let nth = 1; nth <= flushes; nth += 1) {
    const missing = 5 - memory.chains.length
    const added = await withOpened(folder, (opened) => signIn(opened, missing), scaledClock(clock))
    memory.chains.push(...added.map(chainOf))
    clock = withSpeed(clock, 30)
    const dying = await startServerThatMayDie(t, folder, { clock, ...dieIn('fsync,fdatasync', nth) })
    const { accessTokens, failures } = dying
      ? await load(dying, memory.chains)
      : { accessTokens: [], failures: [] }
    if (dying) underLoad += 1
    memory.accessTokens.push(...accessTokens)
    await dying?.ended
    clock = withSpeed(clock, 1)
    const server = await startServer(t, folder, { clock })
    const problems = await afterCrash(server, folder, memory, scaledClock(clock))
    t.same([...failures, ...problems], [], `flush ${nth}`)
    await server.kill()
  }
  t.ok(existsSync(folder.masterKey))
  // Each start is on another port, has another issuer, and so stores the built-in API again.
  t.ok(underLoad >= flushes - 5, `${underLoad} of ${flushes} under load`)
}

if (withoutStrace) t.comment(`WARNING: ${withoutStrace}`)
const options = { skip: withoutStrace }

for (const calls of ['fsync,fdatasync', 'link,unlink,rmdir']) {
  t.test(
    `a first start killed in any call of ${calls} is completed by the next start (docs/security.md Q1, Q8, Q11)`,
    options,
    (t) => killFirstStarts(t as Test, calls),
  )
}

t.test(
  'a first start killed in any of its writes is completed by the next start (docs/security.md Q1, Q8, Q11)',
  options,
  (t) => killFirstStarts(t as Test, 'write,pwrite64', 7),
)

t.test('kills inside a flush under load lose nothing acknowledged (docs/security.md Q1)', options, (t) =>
  killInFlushes(t as Test, 15),
)
