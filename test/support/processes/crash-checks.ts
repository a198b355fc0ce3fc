/** What must be true of a folder whose server died and was started again. */
import { createLocalJWKSet, jwtVerify } from 'jose'
import { decryptAndTest } from '../../../src/keys/self-test.ts'
import type { Ring } from '../../../src/store/contracts/ring.ts'
import { type Clock, systemClock } from '../../../src/system.ts'
import { refresh } from '../server/requests.ts'
import { type Folder, integrity, type OpenedFolder, withOpened } from './data-folder.ts'
import type { ServerProcess } from './process.ts'
import type { AccessToken, Chain } from './token-load.ts'

/** What the clients were told so far; the checks add to it. */
export interface Memory {
  readonly chains: Chain[]
  accessTokens: AccessToken[]
  ringVersion: number
}

/**
 * Checks that every acknowledgement is still true: refresh tokens refresh, access tokens verify with the JWKS alone,
 * the key ring has not gone back, and a replay revokes its session. Returns what is wrong.
 */
export async function afterCrash(
  server: ServerProcess,
  folder: Folder,
  memory: Memory,
  clock: Clock = systemClock,
): Promise<string[]> {
  const problems: string[] = []
  const expect = (what: string, actual: unknown, expected: unknown) => {
    if (actual !== expected) problems.push(`${what}: ${actual}, not ${expected}`)
  }

  expect('ready', (await server.inject({ url: '/health/ready' })).statusCode, 200)
  expect('integrity', integrity(folder), 'ok')
  const ring = await withOpened(folder, (opened) => checkRing(opened, expect), clock)
  if (ring.version < memory.ringVersion) problems.push(`the ring went back to ${ring.version}`)
  memory.ringVersion = ring.version

  const jwks = (await server.inject({ url: '/.well-known/jwks.json' })).json()
  const keys = createLocalJWKSet(jwks)
  const now = clock.now()
  memory.accessTokens = memory.accessTokens.filter(({ exp }) => exp > now)
  const currentDate = new Date(now * 1000)
  for (const { token, kid } of memory.accessTokens) {
    await jwtVerify(token, keys, { currentDate, typ: 'at+jwt' }).catch((error) =>
      problems.push(`an access token of key ${kid} does not verify: ${error.code}`),
    )
  }

  for (const chain of memory.chains) {
    const answer = await refresh(server, chain.token)
    expect(`refresh after ${chain.acknowledged}`, answer.statusCode, 200)
    if (answer.statusCode !== 200) continue
    chain.token = answer.json().refresh_token
    chain.acknowledged += 1
  }
  await checkReplay(server, memory, expect)
  return problems
}

type Expect = (what: string, actual: unknown, expected: unknown) => void

async function checkRing({ store, keys }: OpenedFolder, expect: Expect): Promise<Ring> {
  const ring = await store.ring.read()
  if (!ring) throw new Error('there is no ring')
  for (const state of ['active', 'next'] as const) {
    const keysInState = ring.keys.filter((key) => key.state === state)
    expect(`${state} keys`, keysInState.length, 1)
    for (const key of keysInState) {
      await decryptAndTest(key, keys.masterKeys)
    }
  }
  const others = ring.keys.filter(({ state }) => state !== 'active' && state !== 'next')
  expect(
    'private keys that should have been erased',
    others.filter((key) => key.encryptedPrivateKey !== null).length,
    0,
  )
  return ring
}

/** Uses up one session: it must be revoked afterwards, including the newest token. */
async function checkReplay(server: ServerProcess, memory: Memory, expect: Expect): Promise<void> {
  const index = memory.chains.findIndex(({ acknowledged }) => acknowledged >= 2)
  const [chain] = index < 0 ? [] : memory.chains.splice(index, 1)
  if (!chain) return
  for (const token of [chain.first, chain.token]) {
    const answer = await refresh(server, token)
    expect('a replay', `${answer.statusCode} ${answer.json().error}`, '400 invalid_grant')
  }
}
