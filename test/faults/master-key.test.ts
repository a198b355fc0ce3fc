/**
 * A master key rotation that is killed between any two of its steps, while a server keeps running (docs/security.md
 * Q1, Q8).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import t, { type Test } from 'tap'
import { openRoot } from '../../src/keys/data-keys.ts'
import { createKeyHolder } from '../../src/keys/master-keys.ts'
import { FAILPOINTS, systemRandom } from '../../src/system.ts'
import {
  type Folder,
  integrity,
  readStore,
  seededFolder,
  signIn,
  withInside,
} from '../support/processes/data-folder.ts'
import { keyturn, startServer } from '../support/processes/process.ts'
import { clientCredentials, refresh } from '../support/server/requests.ts'

const names = ({ masterKey }: Folder) =>
  readdirSync(dirname(masterKey))
    .filter((name) => name.startsWith('master.key'))
    .sort()

/** The state after a kill: the key files, and which of them encrypts the database. */
const LEFT: Readonly<Record<string, { files: readonly string[]; sealedWith: string }>> = {
  'reseal:prepared': { files: ['master.key', 'master.key.next'], sealedWith: 'master.key' },
  'reseal:swapped': { files: ['master.key', 'master.key.next'], sealedWith: 'master.key.next' },
  'reseal:kept': {
    files: ['master.key', 'master.key.next', 'master.key.old'],
    sealedWith: 'master.key.next',
  },
  'reseal:promoted': { files: ['master.key', 'master.key.old'], sealedWith: 'master.key' },
}

const steps = FAILPOINTS.filter((name) => name.startsWith('reseal:'))

t.test('every point between two steps at which the command can be killed is tested', async (t) => {
  t.same(Object.keys(LEFT), steps)
})

/** The key of one file alone decrypts everything. */
async function opens(folder: Folder, name: string): Promise<boolean> {
  const text = readFileSync(folder.masterKey.replace(/master\.key$/, name), 'utf8').trim()
  const source = { keysDir: '', masterKey: Buffer.from(text, 'base64url'), masterKeyNext: null }
  const holder = createKeyHolder(source, systemRandom)
  const [ring, roots] = await readStore(folder, async (store) => [
    await store.ring.read(),
    await store.roots.list(),
  ])
  const opened = [
    ...(ring?.keys ?? []).map(
      ({ kid, sealed }) =>
        () =>
          holder.sealer.open(kid, sealed ?? ''),
    ),
    ...roots.map((root) => () => openRoot(holder, root)),
  ].filter((open) => {
    try {
      return open().length > 0
    } catch {
      return false
    }
  })
  if (opened.length > 0) t.equal(opened.length, 2 + roots.length, 'all or nothing')
  return opened.length > 0
}

async function works(t: Test, server: Parameters<typeof refresh>[0], token: string): Promise<string> {
  const answer = await refresh(server, token)
  t.equal(answer.statusCode, 200, answer.body)
  t.equal((await clientCredentials(server)).statusCode, 200)
  return answer.json().refresh_token
}

for (const name of steps) {
  t.test(
    `after a kill at ${name} all nodes keep serving, new ones start, and the next run completes the rotation (docs/security.md Q1, Q8)`,
    async (t) => {
      const folder = await seededFolder(t)
      let [token = ''] = await withInside(folder, (inside) => signIn(inside))
      const before = readFileSync(folder.masterKey, 'utf8')
      const server = await startServer(t, folder)
      const killed = await keyturn(folder, ['keys', 'reseal', '--json'], { failAt: { name } })
      t.same({ code: killed.code, signal: killed.signal }, { code: null, signal: 'SIGKILL' }, killed.stderr)
      const left = LEFT[name]
      t.same(names(folder), left?.files)
      for (const file of ['master.key', 'master.key.next'].filter((one) => left?.files.includes(one)))
        t.equal(await opens(folder, file), file === left?.sealedWith, `${file} alone decrypts the database`)

      token = await works(t, server, token)
      await server.stop()
      const next = await startServer(t, folder)
      token = await works(t, next, token)

      if (name !== 'reseal:promoted') {
        const { code, stderr } = await keyturn(folder, ['keys', 'reseal', '--json'])
        t.equal(code, 0, stderr)
      }
      t.same(names(folder), ['master.key', 'master.key.old'])
      t.equal(readFileSync(`${folder.masterKey}.old`, 'utf8'), before)
      t.same([await opens(folder, 'master.key'), await opens(folder, 'master.key.old')], [true, false])
      t.ok(await works(t, next, token))
      t.equal(integrity(folder), 'ok')
      t.notOk(existsSync(`${folder.masterKey}.next`))
      // A kill may lose the audit event of the swap; the log is consistent nonetheless.
      if (name !== 'reseal:swapped') return
      const verified = await keyturn(folder, ['audit', 'verify'])
      t.equal(verified.code, 0, verified.stdout)
    },
  )
}
