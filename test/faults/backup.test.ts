/** A backup of a database that a server is writing, and a server on the restored database. */

import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  emptyFolder,
  integrity,
  readStore,
  seededFolder,
  signIn,
  withOpened,
} from '../support/processes/data-folder.ts'
import { keyturn, type ServerProcess, startServer } from '../support/processes/process.ts'
import { refresh } from '../support/server/requests.ts'
import { clientSessionIdOf } from '../support/server/tokens.ts'

interface Pair {
  readonly sessionIds: readonly string[]
  readonly tokens: string[]
  /** How many refreshes of each session were acknowledged. */
  readonly done: [number, number]
}

/** Refreshes both sessions in turn, so that the first is at most one generation ahead at any moment. */
async function alternate(server: ServerProcess, pair: Pair, going: () => boolean): Promise<void> {
  while (going()) {
    for (const which of [0, 1] as const) {
      const answer = await refresh(server, pair.tokens[which] ?? '')
      if (answer.statusCode !== 200) throw new Error(answer.body)
      pair.tokens[which] = answer.json().refresh_token
      pair.done[which] += 1
    }
  }
}

t.test('a backup taken under load restores to a consistent moment', async (t) => {
  const folder = await seededFolder(t)
  const [quiet = '', ended = '', late = '', ...busy] = await withOpened(folder, (opened) =>
    signIn(opened, 11),
  )
  const pairs = Array.from({ length: 4 }, (_, i): Pair => {
    const tokens = busy.slice(2 * i, 2 * i + 2)
    return { sessionIds: tokens.map(clientSessionIdOf), tokens, done: [0, 0] }
  })
  const server = await startServer(t, folder)
  const revoke = (token: string) =>
    readStore(folder, (store) =>
      store.clientSessions.revoke(clientSessionIdOf(token), Math.floor(Date.now() / 1000), 'test'),
    )
  t.ok(await revoke(ended))

  let going = true
  const load = Promise.all(pairs.map((pair) => alternate(server, pair, () => going)))
  await sleep(300)
  const file = join(folder.path, 'backup.db')
  const before = pairs.map(({ done }) => [...done])
  const backup = await keyturn(folder, ['backup', file, '--json'])
  const after = pairs.map(({ done }) => [...done])
  t.equal(backup.code, 0, backup.stderr)
  await sleep(100)
  going = false
  await load
  t.ok(
    pairs.every(({ done }, i) => done[0] > (before[i]?.[0] ?? 0)),
    'there was load while the backup was taken, or soon after',
  )
  t.ok(
    after.flat().some((count, i) => count > (before.flat()[i] ?? 0)),
    'and while it was taken',
  )
  t.ok(await revoke(late))

  const other = emptyFolder(t)
  mkdirSync(dirname(other.masterKey), { mode: 0o700 })
  copyFileSync(folder.masterKey, other.masterKey)
  const refused = await keyturn(folder, ['restore', file, '--force'])
  t.match(refused, { code: 1, stderr: /is in use: stop the server/ }, 'not while a server is running')
  await server.stop()
  const restored = await keyturn(other, ['restore', file, '--json'])
  t.equal(restored.code, 0, restored.stderr)
  t.match(JSON.parse(restored.stdout), { sessions: 11, keys: 2, put_aside: null })
  t.equal(integrity(other), 'ok')

  for (const [i, { sessionIds }] of pairs.entries()) {
    const sessions = await readStore(other, (store) =>
      Promise.all(sessionIds.map((id) => store.clientSessions.find(id))),
    )
    const [first = 0, second = 0] = sessions.map((session) => session?.generation)
    t.ok(first - second === 0 || first - second === 1, `${first} and ${second} existed at one moment`)
    t.ok(first >= (before[i]?.[0] ?? 0) + 1, 'everything acknowledged before the backup is in it')
    t.ok(first <= (after[i]?.[0] ?? 0) + 2, 'nothing from after its end is in it')
  }

  const second = await startServer(t, other)
  t.equal((await refresh(second, quiet)).statusCode, 200, 'a refresh token from before works')
  t.match(
    (await refresh(second, ended)).json(),
    { error: 'invalid_grant' },
    'a token revoked before stays revoked',
  )
  t.equal(
    (await refresh(second, late)).statusCode,
    200,
    'a token revoked after the backup is not known to be',
  )
  for (const { tokens, sessionIds } of pairs) {
    const answer = await refresh(second, tokens[0] ?? '')
    t.match(answer.json(), { error: 'invalid_grant' }, 'a generation that the store has not seen is refused')
    const session = await readStore(other, (store) => store.clientSessions.find(sessionIds[0] ?? ''))
    t.equal(session?.revokedAt, null, 'and no replay is reported')
  }
  t.notMatch(second.stderr(), /token\.reuse_detected/)
  t.equal((await second.stop()).code, 0)
})
