import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { masterKeyId } from '../../src/keys/master-keys.ts'
import { systemRandom } from '../../src/system.ts'
import { type Cli, startedCli, testCli } from '../support/processes/cli.ts'
import { refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { signedIn } from '../support/server/tokens.ts'

interface Report {
  readonly master_key: string
  readonly reencrypted: number
  readonly prepared: boolean
  readonly nodes: number
  readonly nodes_without: readonly { readonly pid: number }[]
  readonly old_key_file: string | null
  readonly old_data_keys: readonly Record<string, unknown>[]
}

const fileOf = (cli: Cli, name: string) => join(cli.keysDir, name)
const keyIn = (cli: Cli, name = 'master.key') =>
  Buffer.from(readFileSync(fileOf(cli, name), 'utf8').trim(), 'base64url')
const inUse = async (cli: Cli) => (await cli.json<Report>(['master-key', 'status'])).master_key

/** Starts a server on the store and the keys folder of the commands. It polls until the test ends. */
async function serving(t: Test, cli: Cli, settings: Record<string, string> = {}): Promise<TestServer> {
  const server = await testServer({
    clock: cli.clock,
    database: cli.database,
    nodeInfo: { hostname: 'east', pid: 17 },
    settings: { KEYS_DIR: cli.keysDir, ...settings },
    masterKey: settings.MASTER_KEY ?? '',
  })
  const timer = setInterval(async () => {
    await server.deps.jobs.poll().catch(() => {})
    await server.deps.jobs.heartbeat().catch(() => {})
  }, 20)
  t.teardown(async () => {
    clearInterval(timer)
    await server.close()
  })
  await server.deps.jobs.heartbeat()
  return server
}

t.test('rotating the master key creates a new key, switches to it and keeps the old file', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['keys', 'list'])
  const before = keyIn(cli)
  const report = await cli.json<Report>(['master-key', 'rotate'])
  const after = keyIn(cli)
  t.notOk(after.equals(before))
  t.match(report, {
    master_key: masterKeyId(after),
    reencrypted: 3,
    prepared: false,
    nodes: 0,
    nodes_without: [],
    old_key_file: fileOf(cli, 'master.key.old'),
    old_data_keys: [
      { number: 1, invalidated: false, sessions: 0, recovery_codes: 0, second_factors: 0, unused: false },
    ],
  })
  t.ok(keyIn(cli, 'master.key.old').equals(before))
  t.notOk(existsSync(fileOf(cli, 'master.key.next')))
  for (const name of ['master.key', 'master.key.old'])
    t.equal(statSync(fileOf(cli, name)).mode & 0o777, 0o600, name)
  t.equal((await cli.run(['keys', 'rotate', '--force'])).code, 0, 'commands use the new key')
  t.match(cli.logger.audits('master_key.rotated'), [{ actor: 'operator:tester', target: report.master_key }])
  const { code, out } = await cli.run(['audit', 'verify'])
  t.equal(code, 0, out)
  const output = JSON.stringify([report, cli.logger.lines])
  for (const key of [before, after]) t.notOk(output.includes(key.toString('base64url')), 'no key is printed')
})

t.test('terminal output says what to do with the old master key and with old backups', async (t) => {
  const cli = await startedCli(t)
  const { out, code } = await cli.run(['master-key', 'rotate'])
  t.equal(code, 0)
  t.match(
    out,
    /^master key {2}\S{12}\n3 keys in the database are now encrypted under this key\.\nThe old master key is now .*master\.key\.old/,
  )
  t.match(out, /Older backups need it/)
})

t.test('a running server loads the new master key from the folder and continues', async (t) => {
  const cli = await startedCli(t)
  const server = await serving(t as Test, cli)
  await seed(server.store)
  await server.deps.registry.sync()
  const pair = await signedIn(server)
  t.match(await cli.json(['master-key', 'rotate']), { nodes: 1, nodes_without: [] })
  t.equal((await refresh(server, pair.refresh_token)).statusCode, 200)
  t.equal((await cli.run(['keys', 'rotate', '--force'])).code, 0)
  await server.deps.jobs.poll()
  t.equal((await signedIn(server)).token_type, 'Bearer')
  await server.deps.jobs.heartbeat()
  t.match(
    await cli.json(['nodes']),
    [{ master_keys: [masterKeyId(keyIn(cli))] }],
    'the server no longer has the old key',
  )
})

t.test(
  '--prepare creates the next key and lists the nodes that have it, and re-encrypts nothing',
  async (t) => {
    const cli = await startedCli(t)
    await serving(t as Test, cli)
    const before = await inUse(cli)
    const report = await cli.json<Report>(['master-key', 'rotate', '--prepare'])
    const next = keyIn(cli, 'master.key.next')
    t.match(report, {
      master_key: masterKeyId(next),
      reencrypted: 0,
      prepared: true,
      nodes: 1,
      nodes_without: [],
    })
    t.equal(await inUse(cli), before)
    t.match(
      await cli.json(['master-key', 'rotate', '--prepare']),
      { master_key: masterKeyId(next) },
      'a second --prepare keeps the key',
    )
    t.match(
      (await cli.run(['master-key', 'rotate', '--prepare'])).out,
      /1 of 1 have the key\nThe database is unchanged/,
    )
    await cli.json(['master-key', 'rotate'])
    t.ok(keyIn(cli).equals(next))
  },
)

t.test('rotation is refused while a serving node lacks the next key, unless --force is given', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['keys', 'list'])
  const masterKey = keyIn(cli).toString('base64url')
  // Its master key comes from the settings, so it never reads the folder.
  const server = await serving(t as Test, cli, { MASTER_KEY: masterKey })
  const before = await inUse(cli)
  const refused = await cli.run(['master-key', 'rotate', '--json'])
  t.equal(refused.code, 1)
  t.match(refused.json(), { error: /^east:17 could not serve/, nodes_without: [{ pid: 17 }] })
  t.equal(await inUse(cli), before)
  t.ok(existsSync(fileOf(cli, 'master.key.next')), 'the next key is kept for the next attempt')
  t.equal((await cli.run(['master-key', 'rotate', '--force'])).code, 0)
  t.not(await inUse(cli), before)
  await t.rejects(server.deps.jobs.poll(), 'the node without the key can no longer read the store')
})

t.test('a node that reports no keys counts as lacking the next key', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['keys', 'list'])
  const old = {
    id: 'o',
    hostname: 'west',
    pid: 4,
    version: '0.0.9',
    ringVersion: 1,
    masterKeys: [],
    settings: {},
  }
  const now = cli.clock.now()
  await cli.withStore(({ nodes }) => nodes.record({ ...old, startedAt: now, seenAt: now }))
  t.match(await cli.run(['master-key', 'rotate']), { code: 1, err: /west:4/ })
  cli.clock.tick(31)
  t.equal((await cli.run(['master-key', 'rotate'])).code, 0, 'a node that is gone does not matter')
})

t.test('an old key file in the folder is never overwritten', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['master-key', 'rotate'])
  const old = keyIn(cli, 'master.key.old')
  t.match(await cli.run(['master-key', 'rotate']), {
    code: 1,
    err: /master\.key\.old is left over from the previous rotation/,
  })
  t.ok(keyIn(cli, 'master.key.old').equals(old))
  rmSync(fileOf(cli, 'master.key.old'))
  await cli.json(['master-key', 'rotate', '--prepare'])
  writeFileSync(fileOf(cli, 'master.key.old'), old.toString('base64url'), { mode: 0o600 })
  const before = await inUse(cli)
  t.equal((await cli.run(['master-key', 'rotate'])).code, 1, 'refused even if there is a next key')
  t.equal(await inUse(cli), before, 'the store is unchanged')
  rmSync(fileOf(cli, 'master.key.old'))
  t.equal((await cli.run(['master-key', 'rotate'])).code, 0)
})

t.test(
  'with keys from settings no file is replaced, and the output says which settings to change',
  async (t) => {
    const cli = testCli(t)
    const [MASTER_KEY, MASTER_KEY_NEXT] = [1, 2].map(() => systemRandom.bytes(32).toString('base64url'))
    if (!MASTER_KEY || !MASTER_KEY_NEXT) throw new Error('no keys')
    await cli.start({ MASTER_KEY, STORE_RECORD_FILE: 'off' })
    const run = (args: string[], settings: Record<string, string>) =>
      cli.run(['master-key', 'rotate', ...args], { settings })
    t.match(await run([], { MASTER_KEY }), { code: 1, err: /KEYTURN_MASTER_KEY_NEXT is missing/ })
    t.match(await run([], { MASTER_KEY, MASTER_KEY_NEXT: MASTER_KEY }), { code: 1, err: /the same key/ })
    const { code, out } = await run([], { MASTER_KEY, MASTER_KEY_NEXT })
    t.equal(code, 0)
    t.match(out, /set KEYTURN_MASTER_KEY to the new key and remove KEYTURN_MASTER_KEY_NEXT/)
    t.notOk(existsSync(cli.keysDir))
    t.match(
      await run([], { MASTER_KEY, MASTER_KEY_NEXT }),
      { code: 0, out: /was already encrypted under this key/ },
      'a second rotation does not switch back',
    )
    t.match(await cli.run(['keys', 'list'], { settings: { MASTER_KEY } }), {
      code: 1,
      err: /cannot be decrypted: it is encrypted under the master key/,
    })
    t.equal((await cli.run(['keys', 'list'], { settings: { MASTER_KEY: MASTER_KEY_NEXT } })).code, 0)
  },
)

t.test('status reports what depends on an old data key, and drop-old invalidates it', async (t) => {
  const cli = await startedCli(t)
  const server = await serving(t as Test, cli)
  await seed(server.store)
  await server.deps.registry.sync()
  t.match((await cli.run(['master-key', 'status'])).out, /There are no old data keys/)
  const pair = await signedIn(server)
  await cli.json(['master-key', 'rotate'])
  t.match(await cli.json(['master-key', 'status']), { old_data_keys: [{ sessions: 1, invalidated: false }] })
  t.match((await cli.run(['master-key', 'status'])).out, /east:17 has .+\n.*is kept for 1 session\./)
  t.match(await cli.json(['master-key', 'drop-old']), { old_data_keys: [{ sessions: 0, invalidated: true }] })
  await server.deps.jobs.poll()
  t.match((await refresh(server, pair.refresh_token)).json(), { error: 'invalid_grant' })
})

t.test('--compromised says what becomes invalid and what else an attacker may have', async (t) => {
  const cli = await startedCli(t)
  const { code, out } = await cli.run(['master-key', 'rotate', '--compromised'])
  t.equal(code, 0)
  t.match(
    out,
    /refresh tokens and recovery codes that were issued before are invalid\.\n.*signing keys.*keys revoke/s,
  )
  t.match(await cli.json(['master-key', 'status']), { old_data_keys: [{ invalidated: true }] })
  t.match(cli.logger.audits('master_key.rotated'), [{ reason: 'compromised' }])
})

t.test('usage errors exit 2, and --help lists the options', async (t) => {
  const cli = await startedCli(t)
  for (const args of [['--prepare', '--force'], ['--prepare', '--compromised'], ['--nonsense']])
    t.equal((await cli.run(['master-key', 'rotate', ...args])).code, 2, args.join(' '))
  const { out, code } = await cli.run(['master-key', 'rotate', '--help'])
  t.equal(code, 0)
  for (const option of ['--prepare', '--force', '--compromised', '--json']) t.ok(out.includes(option), option)
})

t.test(
  'the doctor reports a rotation that was prepared, is unfinished or left the old key behind',
  async (t) => {
    const cli = await startedCli(t)
    const rotationCheck = async (settings = {}) => {
      const { out } = await cli.run(['doctor', '--json'], { settings })
      const all = JSON.parse(out) as { check: string; ok: boolean; message: string }[]
      return all.find(({ check }) => check === 'master key rotation')
    }
    await cli.json(['keys', 'list'])
    t.match(await rotationCheck(), { ok: true, message: /no rotation is in progress/ })
    await cli.json(['master-key', 'rotate', '--prepare'])
    t.match(await rotationCheck(), {
      ok: false,
      message: /not encrypted under it: run npx keyturn master-key rotate/,
    })
    await cli.json(['master-key', 'rotate'])
    t.match(await rotationCheck(), {
      ok: false,
      message: /master\.key\.old is needed only to restore older backups/,
    })
    const [old, now] = [keyIn(cli, 'master.key.old'), keyIn(cli)].map((key) => key.toString('base64url'))
    if (!old || !now) throw new Error('no keys')
    t.match(await rotationCheck({ MASTER_KEY: old, MASTER_KEY_NEXT: now }), {
      ok: false,
      message: /set KEYTURN_MASTER_KEY to it/,
    })
    rmSync(fileOf(cli, 'master.key.old'))
    t.match(await rotationCheck(), { ok: true, message: /1 old data key in use/ })
  },
)

t.test(
  'an old backup needs its old master key, and with both keys in place it is re-encrypted',
  async (t) => {
    const cli = await startedCli(t)
    await cli.json(['keys', 'list'])
    const backup = join(cli.dir, 'before.db')
    await cli.json(['backup', backup])
    await cli.json(['master-key', 'rotate'])
    const after = join(cli.dir, 'after.db')
    await cli.json(['backup', after])
    const newKey = keyIn(cli)
    t.match(await cli.run(['restore', backup, '--force']), {
      code: 1,
      err: /needs the master key that was in use when it was created/,
    })
    t.equal(
      (await cli.run(['restore', after, '--force'])).code,
      0,
      'a backup made after the rotation is restored',
    )

    copyFileSync(fileOf(cli, 'master.key'), fileOf(cli, 'master.key.next'))
    copyFileSync(fileOf(cli, 'master.key.old'), fileOf(cli, 'master.key'))
    rmSync(fileOf(cli, 'master.key.old'))
    t.equal((await cli.run(['restore', backup, '--force'])).code, 0)
    await cli.json(['master-key', 'rotate'])
    t.ok(keyIn(cli).equals(newKey))
    t.equal(await inUse(cli), masterKeyId(newKey))
  },
)

t.test('a next key readable by other users is refused like the master key', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['master-key', 'rotate', '--prepare'])
  chmodSync(fileOf(cli, 'master.key.next'), 0o644)
  t.match(await cli.run(['master-key', 'rotate']), {
    code: 1,
    err: /master\.key\.next can be read by others: chmod 600/,
  })
  writeFileSync(fileOf(cli, 'master.key.next'), 'half')
  chmodSync(fileOf(cli, 'master.key.next'), 0o600)
  t.match(await cli.run(['master-key', 'rotate']), { code: 1, err: /master\.key\.next is damaged/ })
})
