import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fingerprintOf } from '../../src/keys/master-keys.ts'
import { systemRandom } from '../../src/system.ts'
import { type Cli, testCli } from '../support/processes/cli.ts'
import { refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { signedIn } from '../support/server/tokens.ts'

interface Report {
  readonly master_key: string
  readonly resealed: number
  readonly prepared: boolean
  readonly nodes: number
  readonly nodes_without: readonly { readonly pid: number }[]
  readonly old_key_file: string | null
  readonly old_roots: readonly Record<string, unknown>[]
}

const fileOf = (cli: Cli, name: string) => join(cli.keysDir, name)
const keyIn = (cli: Cli, name = 'master.key') =>
  Buffer.from(readFileSync(fileOf(cli, name), 'utf8').trim(), 'base64url')
const sealedWith = async (cli: Cli) => (await cli.json<Report>(['keys', 'reseal', '--status'])).master_key

/** A server on the store and in the folder of the command line; it polls until the test ends. */
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
  const cli = testCli(t)
  await cli.json(['keys', 'list'])
  const before = keyIn(cli)
  const report = await cli.json<Report>(['keys', 'reseal'])
  const after = keyIn(cli)
  t.notOk(after.equals(before))
  t.match(report, {
    master_key: fingerprintOf(after),
    resealed: 3,
    prepared: false,
    nodes: 0,
    nodes_without: [],
    old_key_file: fileOf(cli, 'master.key.old'),
    old_roots: [{ number: 1, voided: false, sessions: 0, recovery_codes: 0, second_factors: 0, over: false }],
  })
  t.ok(keyIn(cli, 'master.key.old').equals(before))
  t.notOk(existsSync(fileOf(cli, 'master.key.next')))
  for (const name of ['master.key', 'master.key.old'])
    t.equal(statSync(fileOf(cli, name)).mode & 0o777, 0o600, name)
  t.equal((await cli.run(['keys', 'rotate', '--force'])).code, 0, 'commands continue with the new key')
  t.match(cli.logger.audits('keys.resealed'), [{ actor: 'operator:tester', target: report.master_key }])
  const { code, out } = await cli.run(['audit', 'verify'])
  t.equal(code, 0, out)
  const said = JSON.stringify([report, cli.logger.lines])
  for (const key of [before, after]) t.notOk(said.includes(key.toString('base64url')), 'no key is printed')
})

t.test('terminal output says what to do with the old master key and with old backups', async (t) => {
  const cli = testCli(t)
  const { out, code } = await cli.run(['keys', 'reseal'])
  t.equal(code, 0)
  t.match(
    out,
    /^master key {2}\S{12}\n3 secrets sealed anew\.\nIt is in its place\. The old one is .*master\.key\.old/,
  )
  t.match(out, /backups of before/)
})

t.test('a running server loads the new master key from the folder and continues', async (t) => {
  const cli = testCli(t)
  const server = await serving(t as Test, cli)
  await seed(server.store)
  await server.deps.registry.sync()
  const pair = await signedIn(server)
  t.match(await cli.json(['keys', 'reseal']), { nodes: 1, nodes_without: [] })
  t.equal((await refresh(server, pair.refresh_token)).statusCode, 200)
  t.equal((await cli.run(['keys', 'rotate', '--force'])).code, 0)
  await server.deps.jobs.poll()
  t.equal((await signedIn(server)).token_type, 'Bearer')
  await server.deps.jobs.heartbeat()
  t.match(
    await cli.json(['nodes']),
    [{ master_keys: [fingerprintOf(keyIn(cli))] }],
    'and no longer has the old key',
  )
})

t.test(
  '--prepare creates the next key and lists the nodes that have it, and re-encrypts nothing',
  async (t) => {
    const cli = testCli(t)
    await serving(t as Test, cli)
    const before = await sealedWith(cli)
    const report = await cli.json<Report>(['keys', 'reseal', '--prepare'])
    const next = keyIn(cli, 'master.key.next')
    t.match(report, {
      master_key: fingerprintOf(next),
      resealed: 0,
      prepared: true,
      nodes: 1,
      nodes_without: [],
    })
    t.equal(await sealedWith(cli), before)
    t.match(
      await cli.json(['keys', 'reseal', '--prepare']),
      { master_key: fingerprintOf(next) },
      'the second rotation gives the same result',
    )
    t.match((await cli.run(['keys', 'reseal', '--prepare'])).out, /1 of 1 hold it\nNothing was sealed/)
    await cli.json(['keys', 'reseal'])
    t.ok(keyIn(cli).equals(next))
  },
)

t.test('rotation is refused while a serving node lacks the next key, unless --force is given', async (t) => {
  const cli = testCli(t)
  await cli.json(['keys', 'list'])
  const masterKey = keyIn(cli).toString('base64url')
  // Its key comes from the settings, so it never reads the folder.
  const server = await serving(t as Test, cli, { MASTER_KEY: masterKey })
  const before = await sealedWith(cli)
  const refused = await cli.run(['keys', 'reseal', '--json'])
  t.equal(refused.code, 1)
  t.match(refused.json(), { error: /not held by east:17/, nodes_without: [{ pid: 17 }] })
  t.equal(await sealedWith(cli), before)
  t.ok(existsSync(fileOf(cli, 'master.key.next')), 'which is kept for the next rotation')
  t.equal((await cli.run(['keys', 'reseal', '--force'])).code, 0)
  t.not(await sealedWith(cli), before)
  await t.rejects(server.deps.jobs.poll(), 'and that node can no longer follow')
})

t.test('a node of an older version reports no keys and counts as lacking the next key', async (t) => {
  const cli = testCli(t)
  await cli.json(['keys', 'list'])
  const old = { id: 'o', hostname: 'west', pid: 4, version: '0.0.9', ringVersion: 1, masterKeys: [] }
  const now = cli.clock.now()
  await cli.look(({ nodes }) => nodes.record({ ...old, startedAt: now, seenAt: now }))
  t.match(await cli.run(['keys', 'reseal']), { code: 1, err: /west:4/ })
  cli.clock.tick(31)
  t.equal((await cli.run(['keys', 'reseal'])).code, 0, 'a node that is gone does not count')
})

t.test('an old key file in the folder is never overwritten', async (t) => {
  const cli = testCli(t)
  await cli.json(['keys', 'reseal'])
  const old = keyIn(cli, 'master.key.old')
  t.match(await cli.run(['keys', 'reseal']), {
    code: 1,
    err: /master\.key\.old is there from the reseal before/,
  })
  t.ok(keyIn(cli, 'master.key.old').equals(old))
  rmSync(fileOf(cli, 'master.key.old'))
  await cli.json(['keys', 'reseal', '--prepare'])
  writeFileSync(fileOf(cli, 'master.key.old'), old.toString('base64url'), { mode: 0o600 })
  const before = await sealedWith(cli)
  t.equal((await cli.run(['keys', 'reseal'])).code, 1, 'even if the next key is there')
  t.equal(await sealedWith(cli), before, 'and nothing was re-encrypted')
  rmSync(fileOf(cli, 'master.key.old'))
  t.equal((await cli.run(['keys', 'reseal'])).code, 0)
})

t.test(
  'with keys from settings no file is replaced, and the output says which settings to change',
  async (t) => {
    const cli = testCli(t)
    const [MASTER_KEY, MASTER_KEY_NEXT] = [1, 2].map(() => systemRandom.bytes(32).toString('base64url'))
    if (!MASTER_KEY || !MASTER_KEY_NEXT) throw new Error('no keys')
    const run = (args: string[], settings: Record<string, string>) =>
      cli.run(['keys', 'reseal', ...args], { settings })
    t.match(await run([], { MASTER_KEY }), { code: 1, err: /KEYTURN_MASTER_KEY_NEXT is missing/ })
    t.match(await run([], { MASTER_KEY, MASTER_KEY_NEXT: MASTER_KEY }), { code: 1, err: /the same key/ })
    const { code, out } = await run([], { MASTER_KEY, MASTER_KEY_NEXT })
    t.equal(code, 0)
    t.match(out, /Give the nodes the new key as KEYTURN_MASTER_KEY, without KEYTURN_MASTER_KEY_NEXT/)
    t.notOk(existsSync(cli.keysDir))
    t.match(
      await run([], { MASTER_KEY, MASTER_KEY_NEXT }),
      { code: 0, out: /sealed with it already/ },
      'it never goes back',
    )
    t.match(await cli.run(['keys', 'list'], { settings: { MASTER_KEY } }), { code: 1, err: /does not open/ })
    t.equal((await cli.run(['keys', 'list'], { settings: { MASTER_KEY: MASTER_KEY_NEXT } })).code, 0)
  },
)

t.test('--status says what depends on an old data key, and --drop-old deletes that key', async (t) => {
  const cli = testCli(t)
  const server = await serving(t as Test, cli)
  await seed(server.store)
  await server.deps.registry.sync()
  t.match((await cli.run(['keys', 'reseal', '--status'])).out, /There is one root/)
  const pair = await signedIn(server)
  await cli.json(['keys', 'reseal'])
  t.match(await cli.json(['keys', 'reseal', '--status']), { old_roots: [{ sessions: 1, voided: false }] })
  t.match((await cli.run(['keys', 'reseal', '--status'])).out, /east:17 holds .+\n.*is kept for 1 session\./)
  t.match(await cli.json(['keys', 'reseal', '--drop-old']), { old_roots: [{ sessions: 0, voided: true }] })
  await server.deps.jobs.poll()
  t.match((await refresh(server, pair.refresh_token)).json(), { error: 'invalid_grant' })
})

t.test('--compromised says what becomes invalid and what else an attacker may have', async (t) => {
  const cli = testCli(t)
  const { code, out } = await cli.run(['keys', 'reseal', '--compromised'])
  t.equal(code, 0)
  t.match(out, /Refresh tokens and recovery codes of before are void\.\n.*signing keys.*keys revoke/s)
  t.match(await cli.json(['keys', 'reseal', '--status']), { old_roots: [{ voided: true }] })
  t.match(cli.logger.audits('keys.resealed'), [{ reason: 'compromised' }])
})

t.test('usage errors exit 2, and --help lists the options', async (t) => {
  const cli = testCli(t)
  for (const args of [
    ['--prepare', '--status'],
    ['--status', '--force'],
    ['--drop-old', '--compromised'],
    ['--nonsense'],
  ])
    t.equal((await cli.run(['keys', 'reseal', ...args])).code, 2, args.join(' '))
  const { out, code } = await cli.run(['keys', 'reseal', '--help'])
  t.equal(code, 0)
  for (const option of ['--prepare', '--force', '--compromised', '--status', '--drop-old', '--json'])
    t.ok(out.includes(option), option)
})

t.test(
  'the doctor reports a rotation that was prepared, is unfinished or left the old key behind',
  async (t) => {
    const cli = testCli(t)
    const found = async (settings = {}) => {
      const { out } = await cli.run(['doctor', '--json'], { settings })
      const all = JSON.parse(out) as { check: string; ok: boolean; message: string }[]
      return all.find(({ check }) => check === 'reseal')
    }
    await cli.json(['keys', 'list'])
    t.match(await found(), { ok: true, message: /none under way/ })
    await cli.json(['keys', 'reseal', '--prepare'])
    t.match(await found(), { ok: false, message: /not sealed with it: run keyturn keys reseal/ })
    await cli.json(['keys', 'reseal'])
    t.match(await found(), { ok: false, message: /master\.key\.old opens backups of before/ })
    const [old, now] = [keyIn(cli, 'master.key.old'), keyIn(cli)].map((key) => key.toString('base64url'))
    if (!old || !now) throw new Error('no keys')
    t.match(await found({ MASTER_KEY: old, MASTER_KEY_NEXT: now }), {
      ok: false,
      message: /make it KEYTURN_MASTER_KEY/,
    })
    rmSync(fileOf(cli, 'master.key.old'))
    t.match(await found(), { ok: true, message: /1 old root in use/ })
  },
)

t.test(
  'an old backup needs its old master key, and with both keys in place it is re-encrypted',
  async (t) => {
    const cli = testCli(t)
    await cli.json(['keys', 'list'])
    const backup = join(cli.dir, 'before.db')
    await cli.json(['backup', backup])
    await cli.json(['keys', 'reseal'])
    const after = join(cli.dir, 'after.db')
    await cli.json(['backup', after])
    const young = keyIn(cli)
    t.match(await cli.run(['restore', backup, '--force']), { code: 1, err: /needs the one of then/ })
    t.equal((await cli.run(['restore', after, '--force'])).code, 0, 'a backup from afterwards decrypts')

    copyFileSync(fileOf(cli, 'master.key'), fileOf(cli, 'master.key.next'))
    copyFileSync(fileOf(cli, 'master.key.old'), fileOf(cli, 'master.key'))
    rmSync(fileOf(cli, 'master.key.old'))
    t.equal((await cli.run(['restore', backup, '--force'])).code, 0)
    await cli.json(['keys', 'reseal'])
    t.ok(keyIn(cli).equals(young))
    t.equal(await sealedWith(cli), fingerprintOf(young))
  },
)

t.test('a next key readable by other users is refused like the master key', async (t) => {
  const cli = testCli(t)
  await cli.json(['keys', 'reseal', '--prepare'])
  chmodSync(fileOf(cli, 'master.key.next'), 0o644)
  t.match(await cli.run(['keys', 'reseal']), {
    code: 1,
    err: /master\.key\.next can be read by others: chmod 600/,
  })
  writeFileSync(fileOf(cli, 'master.key.next'), 'half')
  chmodSync(fileOf(cli, 'master.key.next'), 0o600)
  t.match(await cli.run(['keys', 'reseal']), { code: 1, err: /master\.key\.next is damaged/ })
})
