/** What a sign-in leaves behind is deleted once it has no further use, and not before. */
import t from 'tap'
import { prune } from '../../src/node/prune.ts'
import { insertOwners, session } from '../contracts/client-sessions.ts'
import { code } from '../contracts/codes.ts'
import { pushed } from '../contracts/pushed-requests.ts'
import { signIn } from '../contracts/user-sessions.ts'
import { testServer } from '../support/server/server.ts'

const HOUR = 3600
const DAY = 24 * HOUR
const server = await testServer()
t.teardown(() => server.close())
const { clock, store } = server
await insertOwners(store)
const start = clock.now()

async function left(table: string): Promise<number> {
  const [row] = await store.db.query<{ count: number }>(`SELECT COUNT(*) AS count FROM ${table}`)
  return row?.count ?? -1
}

/** Prunes at this time, and returns what is left. */
async function after(seconds: number, table: string): Promise<number> {
  clock.set(start + seconds)
  await server.deps.jobs.prune()
  return left(table)
}

const minute = { expiresAt: start + 60 }
const lasting = { expiresAt: start + 30 * DAY, idleExpiresAt: start + 30 * DAY }

t.test(
  'a pushed request is deleted an hour after its expiry, used or not (docs/security.md Q20)',
  async (t) => {
    await store.pushedRequests.insert('used', pushed({ ...minute, usedAt: start }))
    await store.pushedRequests.insert('unused', pushed(minute))
    t.equal(await after(60 + HOUR, 'pushed_requests'), 2, 'a user may still be at the login page')
    t.equal(await after(60 + HOUR + 1, 'pushed_requests'), 0)
  },
)

t.test(
  'an unused code is kept for two minutes after its expiry, and a used one for as long as its session can last (docs/security.md Q20, Q22)',
  async (t) => {
    await store.userSessions.insert(signIn({ id: 'lasting', ...lasting }), 'lasting')
    const of = { userSessionId: 'lasting', ...minute }
    await store.codes.insert('used', code(of), start)
    await store.codes.insert('left', code({ ...of, clientSessionId: 'another' }), start)
    const began = session({ id: 'session', userSessionId: 'lasting', expiresAt: start + 10 * DAY })
    t.equal(await store.codes.redeem('used', began, start, 5), true)
    t.equal(await after(60 + 120, 'authorization_codes'), 2)
    t.equal(await after(60 + 121, 'authorization_codes'), 1)
    t.equal(await after(10 * DAY + 120, 'authorization_codes'), 1, 'a replay would end the session')
    t.equal(await after(10 * DAY + 121, 'authorization_codes'), 0)
    t.equal(await left('user_sessions'), 1, 'the user session continues')
    clock.set(start)
  },
)

t.test(
  'a user session is deleted a day after the hour of its idle timeout, ended or not (docs/security.md Q20)',
  async (t) => {
    const untilHour = HOUR - (start % HOUR)
    const idle = { ...lasting, idleExpiresAt: start + untilHour + 100 }
    await store.userSessions.insert(signIn({ id: 'idle', ...idle }), 'idle')
    await store.userSessions.insert(signIn({ id: 'ended', ...idle, endedAt: start }), 'ended')
    t.equal(await after(untilHour + HOUR + DAY - 1, 'user_sessions'), 3, 'only with its hour')
    t.equal(await after(untilHour + HOUR + DAY, 'user_sessions'), 1)
    t.not(await store.userSessions.find('lasting'), null)
  },
)

t.test('a stopping server leaves the rest of a long pruning run to the next one', async (t) => {
  const now = clock.now()
  for (let i = 0; i < 150; i += 1) {
    await store.pushedRequests.insert(`rest ${i}`, pushed({ expiresAt: now }))
  }
  clock.tick(HOUR + 1)
  // Each table is checked before each of its batches; the fifth check is before the second batch of the fourth table.
  const turns = [false, false, false, false]
  await prune(store, clock, [], () => turns.pop() ?? true)
  t.equal(await left('pushed_requests'), 50)
  await prune(store, clock)
  t.equal(await left('pushed_requests'), 0)
})

t.test('one pruning run deletes more than one batch of rows (docs/security.md Q20)', async (t) => {
  const now = clock.now()
  for (let i = 0; i < 501; i += 1) {
    await store.pushedRequests.insert(`many ${i}`, pushed({ expiresAt: now }))
  }
  clock.tick(HOUR + 1)
  await server.deps.jobs.prune()
  t.equal(await left('pushed_requests'), 0)
})
