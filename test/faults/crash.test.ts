import { existsSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { FAILPOINTS, type Failpoint } from '../../src/system.ts'
import { afterCrash, type Memory } from '../support/processes/crash-checks.ts'
import {
  emptyFolder,
  type Folder,
  readStore,
  seededFolder,
  signIn,
  withOpened,
} from '../support/processes/data-folder.ts'
import { type Ending, keyturn, type ServerProcess, startServer } from '../support/processes/process.ts'
import { chainOf, load } from '../support/processes/token-load.ts'
import { scaledClock, withSpeed } from '../support/server/clock.ts'
import { basic, refresh } from '../support/server/requests.ts'

const KILLED: Ending = { code: null, signal: 'SIGKILL' }

const failPoints = (prefix: string) => FAILPOINTS.filter((name) => name.startsWith(prefix))
/** Every fail point that a refresh passes. */
const refreshSteps = [...failPoints('refresh:'), ...failPoints('token:')]

async function prepared(t: Test, sessions: number, settings = {}): Promise<[Folder, Memory]> {
  // A start takes seconds on a busy machine.
  const folder = await seededFolder(t, { REFRESH_GRACE: '5m', ...settings })
  const tokens = await withOpened(folder, (opened) => signIn(opened, sessions))
  return [folder, { chains: tokens.map(chainOf), accessTokens: [], ringVersion: 1 }]
}

/** Loads the server until it dies, and records what it acknowledged. */
async function loadUntilKilled(t: Test, server: ServerProcess, memory: Memory): Promise<void> {
  const { accessTokens, failures } = await load(server, memory.chains)
  memory.accessTokens.push(...accessTokens)
  t.same(failures, [], 'until then every request was served')
  t.same(await server.ended, KILLED)
}

for (const name of [...refreshSteps, ...failPoints('ring:')]) {
  t.test(
    `after a kill at ${name}, a retry gets the same successor (RFC 9700 §4.14.2; docs/security.md Q1, F68)`,
    async (t) => {
      const [folder, memory] = await prepared(t, 1)
      const [{ token } = chainOf('')] = memory.chains
      const killed = await startServer(t, folder, { failAt: { name } })
      await t.rejects(refresh(killed, token), 'there was no response')
      t.same(await killed.ended, KILLED)

      const server = await startServer(t, folder)
      const answer = await refresh(server, token)
      t.equal(answer.statusCode, 200, answer.body)
      const successor = await withOpened(folder, async ({ refreshTokens }) => {
        const parts = await refreshTokens.read(token)
        return refreshTokens.write({ clientSessionId: parts?.clientSessionId ?? '', generation: 2 })
      })
      t.equal(answer.json().refresh_token, successor)
      t.equal((await refresh(server, token)).json().refresh_token, successor, 'however often it is retried')
    },
  )
}

for (const name of refreshSteps) {
  t.test(
    `after a kill at ${name} under load, no acknowledged refresh is lost (docs/security.md Q1)`,
    async (t) => {
      const [folder, memory] = await prepared(t, 6)
      await loadUntilKilled(t, await startServer(t, folder, { failAt: { name, nth: 40 } }), memory)
      t.ok(memory.accessTokens.length > 0)
      t.same(await afterCrash(await startServer(t, folder), folder, memory), [])
    },
  )
}

for (const name of failPoints('rotate:')) {
  t.test(
    `a server killed at ${name} under load leaves a consistent key ring (docs/security.md Q1, Q8)`,
    async (t) => {
      const clock = { from: Date.now(), speed: 60 }
      const settings = { KEY_ROTATION: '1m', VERIFIER_CACHE: '0s' }
      const [folder, memory] = await prepared(t, 4, settings)
      const killed = await startServer(t, folder, { clock, failAt: { name } })
      await loadUntilKilled(t, killed, memory)
      // As fast as the real one, so that what is valid for minutes is valid while this machine starts a process.
      const after = withSpeed(clock, 1)
      const server = await startServer(t, folder, { clock: after })
      t.same(await afterCrash(server, folder, memory, scaledClock(after)), [])
    },
  )

  t.test(
    `a command killed at ${name} leaves a consistent key ring to the running server (docs/security.md Q1, Q8)`,
    async (t) => {
      const [folder, memory] = await prepared(t, 2)
      const server = await startServer(t, folder)
      const rotate = (at?: Failpoint) =>
        keyturn(folder, ['keys', 'rotate', '--force', '--json'], at ? { failAt: { name: at } } : {})
      const { code, signal } = await rotate(name)
      t.same({ code, signal }, KILLED)
      t.same(await afterCrash(server, folder, memory), [])
      t.equal(memory.ringVersion, name === 'rotate:committed' ? 2 : 1)

      const { stdout } = await rotate()
      const ring = await readStore(folder, (store) => store.ring.read())
      t.equal(JSON.parse(stdout).active, ring?.keys.find(({ state }) => state === 'active')?.kid)
      t.same(await afterCrash(server, folder, memory), [])
    },
  )
}

for (const name of failPoints('start:')) {
  t.test(
    `a first start killed at ${name} is completed by the next start (docs/security.md Q1, Q8, Q11)`,
    async (t) => {
      const folder = emptyFolder(t)
      const { code, signal } = await keyturn(folder, ['serve', '--json'], { failAt: { name } })
      t.same({ code, signal }, KILLED)
      const key = existsSync(folder.masterKey) ? readFileSync(folder.masterKey, 'utf8') : undefined
      const ring = await readStore(folder, (store) => store.ring.read())
      t.equal(key !== undefined, name !== 'start:migrated')
      t.equal(ring !== null, name === 'start:ring')

      const server = await startServer(t, folder)
      const memory: Memory = { chains: [], accessTokens: [], ringVersion: 1 }
      t.same(await afterCrash(server, folder, memory), [])
      if (key !== undefined)
        t.equal(readFileSync(folder.masterKey, 'utf8'), key, 'the master key is unchanged')
      if (ring) t.same(await readStore(folder, (store) => store.ring.read()), ring, 'and so is the key ring')
    },
  )
}

for (const [name, roles] of [
  ['administration:begun', 0],
  ['administration:acted', 1],
] as const) {
  t.test(
    `a request of an administrator that is killed at ${name} does not act again when it is repeated (docs/security.md W4)`,
    async (t) => {
      const [folder] = await prepared(t, 0)
      const robot = ['clients', 'create', '--name', 'robot', '--grant', 'client_credentials', '--json']
      const killed = await startServer(t, folder, { failAt: { name } })
      const made = await keyturn(folder, [...robot, '--scope', 'admin:read admin:clients'])
      const { client_id, client_secret } = JSON.parse(made.stdout)
      const create = async (server: ServerProcess) => {
        const { access_token } = (
          await server.inject({
            method: 'POST',
            url: '/oauth2/token',
            headers: {
              authorization: basic(client_id, client_secret),
              'content-type': 'application/x-www-form-urlencoded',
            },
            payload: 'grant_type=client_credentials',
          })
        ).json()
        return server.inject({
          method: 'POST',
          url: '/admin/v1/roles',
          headers: {
            authorization: `Bearer ${access_token}`,
            'content-type': 'application/json',
            'idempotency-key': 'once',
          },
          payload: JSON.stringify({ name: 'night', scopes: ['admin:read'] }),
        })
      }
      await t.rejects(create(killed), 'there was no response')
      t.same(await killed.ended, KILLED)

      const server = await startServer(t, folder)
      const answer = await create(server)
      t.equal(answer.statusCode, 409, answer.body)
      const known = (await readStore(folder, (store) => store.roles.list())).filter(
        ({ name }) => name === 'night',
      )
      t.equal(known.length, roles)
    },
  )
}
