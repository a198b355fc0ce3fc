/** A rotation of the master key that is killed between any two of its steps, while a server runs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import t, { type Test } from 'tap'
import { decryptDataKey } from '../../src/keys/data-keys.ts'
import { createMasterKeys } from '../../src/keys/master-keys.ts'
import { FAILPOINTS, systemRandom } from '../../src/system.ts'
import {
  type Folder,
  integrity,
  readStore,
  seededFolder,
  signIn,
  withOpened,
} from '../support/processes/data-folder.ts'
import { keyturn, startServer } from '../support/processes/process.ts'
import { clientCredentials, refresh } from '../support/server/requests.ts'

const names = ({ masterKey }: Folder) =>
  readdirSync(dirname(masterKey))
    .filter((name) => name.startsWith('master.key'))
    .sort()

/** What is there after a kill: the files, and which of them decrypts the database. */
const EXPECTED_FILES: Readonly<Record<string, { files: readonly string[]; inUse: string }>> = {
  'master-key:prepared': { files: ['master.key', 'master.key.next'], inUse: 'master.key' },
  'master-key:committed': { files: ['master.key', 'master.key.next'], inUse: 'master.key.next' },
  'master-key:old-kept': {
    files: ['master.key', 'master.key.next', 'master.key.old'],
    inUse: 'master.key.next',
  },
  'master-key:promoted': { files: ['master.key', 'master.key.old'], inUse: 'master.key' },
}

const steps = FAILPOINTS.filter((name) => name.startsWith('master-key:'))

t.test('every point between two steps at which the command can be killed is tested', async (t) => {
  t.same(Object.keys(EXPECTED_FILES), steps)
})

/** Whether the key in this file alone decrypts everything. */
async function decrypts(folder: Folder, name: string): Promise<boolean> {
  const text = readFileSync(folder.masterKey.replace(/master\.key$/, name), 'utf8').trim()
  const source = { keysDir: '', masterKey: Buffer.from(text, 'base64url'), masterKeyNext: null }
  const masterKeys = createMasterKeys(source, systemRandom)
  const [ring, dataKeys] = await readStore(folder, async (store) => [
    await store.ring.read(),
    await store.dataKeys.list(),
  ])
  const decrypted = [
    ...(ring?.keys ?? []).map(
      ({ kid, encryptedPrivateKey: text }) =>
        () =>
          masterKeys.privateKeys.decrypt(kid, text ?? ''),
    ),
    ...dataKeys.map((dataKey) => () => decryptDataKey(masterKeys, dataKey)),
  ].filter((decrypt) => {
    try {
      return decrypt().length > 0
    } catch {
      return false
    }
  })
  if (decrypted.length > 0) t.equal(decrypted.length, 2 + dataKeys.length, 'all or nothing')
  return decrypted.length > 0
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
      let [token = ''] = await withOpened(folder, (opened) => signIn(opened))
      const before = readFileSync(folder.masterKey, 'utf8')
      const server = await startServer(t, folder)
      const killed = await keyturn(folder, ['master-key', 'rotate', '--json'], { failAt: { name } })
      t.same({ code: killed.code, signal: killed.signal }, { code: null, signal: 'SIGKILL' }, killed.stderr)
      const left = EXPECTED_FILES[name]
      t.same(names(folder), left?.files)
      for (const file of ['master.key', 'master.key.next'].filter((one) => left?.files.includes(one)))
        t.equal(await decrypts(folder, file), file === left?.inUse, `${file} alone decrypts it`)

      token = await works(t, server, token)
      await server.stop()
      const next = await startServer(t, folder)
      token = await works(t, next, token)

      if (name !== 'master-key:promoted') {
        const { code, stderr } = await keyturn(folder, ['master-key', 'rotate', '--json'])
        t.equal(code, 0, stderr)
      }
      t.same(names(folder), ['master.key', 'master.key.old'])
      t.equal(readFileSync(`${folder.masterKey}.old`, 'utf8'), before)
      t.same([await decrypts(folder, 'master.key'), await decrypts(folder, 'master.key.old')], [true, false])
      t.ok(await works(t, next, token))
      t.equal(integrity(folder), 'ok')
      t.notOk(existsSync(`${folder.masterKey}.next`))
      // Such a kill may lose the audit event of the commit. The audit log is still consistent.
      if (name !== 'master-key:committed') return
      const verified = await keyturn(folder, ['audit', 'verify'])
      t.equal(verified.code, 0, verified.stdout)
    },
  )
}
