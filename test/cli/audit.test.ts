import { rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { type Cli, startedCli, testCli } from '../support/processes/cli.ts'

const PASSWORD = 'correct horse battery staple'
const WITH_PASSWORD = { input: PASSWORD }

interface AuditEvent {
  readonly seq: number
  readonly since: number
  readonly at: number
  readonly event: string
  readonly count: number
  readonly actor: string | null
  readonly sub: string | null
  readonly username: string | null
  readonly client_id: string | null
  readonly fields: Record<string, string>
  readonly hash: string
}

const listAudit = (cli: Cli, ...args: string[]) => cli.json<AuditEvent[]>(['audit', ...args])
const events = (rows: readonly AuditEvent[]) => rows.map(({ event, fields }) => fields.action ?? event)

/** The key ring, a client and alice are created an hour apart; then alice is disabled. */
async function withEvents(t: Test): Promise<Cli> {
  const cli = await startedCli(t)
  await cli.json(['keys', 'list'])
  cli.clock.tick(3600)
  await cli.json(['clients', 'create', '--name', 'shop', '--id', 'shop', '--grant', 'client_credentials'])
  cli.clock.tick(3600)
  await cli.json(['users', 'create', 'alice', '--password-stdin'], WITH_PASSWORD)
  cli.clock.tick(3600)
  await cli.json(['users', 'disable', 'alice'])
  return cli
}

t.test('commands write audit rows, newest last, whether or not a server is running', async (t) => {
  const cli = await withEvents(t as Test)
  const rows = await listAudit(cli)
  t.same(events(rows), ['keys.created', 'created', 'created', 'disabled'])
  t.same(
    rows.map(({ seq }) => seq),
    [1, 2, 3, 4],
  )
  const alice = rows[3] as AuditEvent
  t.match(alice, {
    event: 'user.changed',
    actor: 'operator:tester',
    username: 'alice',
    client_id: null,
    count: 1,
    since: cli.clock.now(),
    at: cli.clock.now(),
    fields: { action: 'disabled', target: 'alice' },
    hash: /^[\w-]{43}$/,
  })
  t.match(rows[1], { event: 'client.changed', client_id: 'shop', fields: { target: 'shop' } })
  const lines = cli.logger.audits()
  t.same(
    lines.map(({ audit }) => audit),
    rows.map(({ event }) => event),
    'the rows are the logged events',
  )
})

t.test('--since, --until, --user, --client, --event and --limit filter the rows', async (t) => {
  const cli = await withEvents(t as Test)
  const all = await listAudit(cli)
  const seqs = async (...args: string[]) => (await listAudit(cli, ...args)).map(({ seq }) => seq)
  t.same(await seqs('--since', '1h'), [3, 4])
  t.same(await seqs('--since', '59m'), [4])
  t.same(await seqs('--since', '30d'), [1, 2, 3, 4])
  t.same(await seqs('--until', '1h'), [1, 2])
  const moment = new Date((all[1]?.at ?? 0) * 1000).toISOString()
  t.same(await seqs('--since', moment, '--until', '1h'), [2])
  t.same(await seqs('--user', 'ALICE'), [3, 4])
  const plain = moment.slice(0, 19).replace('T', ' ')
  const utc = await cli.run(['audit', '--since', plain, '--until', '1h', '--json'])
  t.same(
    utc.json<{ seq: number }[]>().map(({ seq }) => seq),
    [2],
  )
  t.equal(utc.err, `note: --since is ${plain}Z: a time without a zone is in UTC\n`)
  t.equal((await cli.run(['audit', '--since', moment])).err, '')
  t.same(await seqs('--client', 'shop'), [2])
  t.same(await seqs('--event', 'user.changed'), [3, 4])
  t.same(await seqs('--limit', '2'), [3, 4])
  t.match(await cli.run(['audit', '--limit', '2']), { code: 0, err: /only the newest 2 events are shown/ })
})

t.test('a deleted user or client is found by id, and an unknown name is refused', async (t) => {
  const cli = await withEvents(t as Test)
  const [alice] = await listAudit(cli, '--user', 'alice')
  await cli.json(['clients', 'delete', 'shop'])
  await cli.withStore(({ db }) => db.batch([{ sql: 'DELETE FROM users' }]))
  t.same(events(await listAudit(cli, '--client', 'shop')), ['created', 'deleted'])
  t.same(events(await listAudit(cli, '--user', alice?.sub ?? '')), ['created', 'disabled'])
  t.match((await listAudit(cli, '--user', alice?.sub ?? ''))[0], { sub: alice?.sub, username: null })
  t.match(await cli.run(['audit', '--user', 'alice']), {
    code: 1,
    err: /there is no user alice, and the audit log has no events for that id/,
  })
  t.match(await cli.run(['audit', '--client', 'ghost']), { code: 1, err: /there is no client ghost/ })
})

t.test('contradictory or malformed options are usage errors', async (t) => {
  const cli = await startedCli(t as Test)
  for (const args of [
    ['--since', 'yesterday'],
    ['--since', '5'],
    ['--until', '2026-13-99'],
    ['--since', '2026-02-30'],
    ['--since', '2026-02-28T24:00:00Z'],
    ['--since', '0s'],
    ['--limit', '0'],
    ['--limit', 'all'],
    ['--event', 'nothing.happened'],
    ['verify', '--anchor', '5'],
    ['verify', '--anchor', 'x:y'],
  ]) {
    t.equal((await cli.run(['audit', ...args])).code, 2, args.join(' '))
  }
})

t.test('terminal output is a table, and an aggregated row shows when it began', async (t) => {
  const cli = await withEvents(t as Test)
  await cli.withStore(({ db }) => db.batch([{ sql: `UPDATE audit SET count = 7 WHERE seq = 4` }]))
  const { out } = await cli.run(['audit', '--user', 'alice'], { columns: 200 })
  t.match(out, /^SEQ +TIME +EVENT +ACTOR +USER +CLIENT +COUNT +DETAILS$/m)
  t.match(
    out,
    /^3 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ +user\.changed +operator:tester +alice +action=created target=alice$/m,
  )
  t.match(out, /^4 .* 7 +since=\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ action=disabled target=alice$/m)
})

t.test('verify reports success, or every problem it finds with exit code 1', async (t) => {
  const cli = await withEvents(t as Test)
  const intact = await cli.json(['audit', 'verify'])
  t.match(intact, { intact: true, rows: 4, head: /^4:[\w-]{43}$/, pruned_to: 0, signed: true, findings: [] })
  t.match(await cli.run(['audit', 'verify']), {
    code: 0,
    out: `intact: 4 rows, the last is ${intact.head}\n`,
  })
  t.equal((await cli.run(['audit', 'verify', '--anchor', String(intact.head)])).code, 0)

  await cli.withStore(({ db }) =>
    db.batch([
      { sql: 'DELETE FROM audit WHERE seq = 2' },
      { sql: `UPDATE audit SET actor = 'x' WHERE seq = 4` },
    ]),
  )
  const damaged = await cli.run(['audit', 'verify', '--json'])
  const problems = ['row 2 is missing', 'row 4 was changed, or row 3 and its hash were changed']
  t.equal(damaged.code, 1)
  t.match(damaged.json(), { intact: false, rows: 3, findings: problems })
  t.match(await cli.run(['audit', 'verify']), {
    code: 1,
    out: `${problems.join('\n')}\nnot intact: 3 rows, the last is ${intact.head}\n`,
  })
})

t.test(
  'a row that was cut off is reported once, and an accepted log does not use its number again',
  async (t) => {
    const cli = await withEvents(t as Test)
    const { head } = await cli.json<{ head: string }>(['audit', 'verify'])
    await cli.withStore(({ db }) => db.batch([{ sql: 'DELETE FROM audit WHERE seq = 4' }]))
    const missing = 'row 4 is missing: the end of the log was cut off'
    t.match((await cli.run(['audit', 'verify', '--json'])).json(), { findings: [missing] })
    const anchored = await cli.run(['audit', 'verify', '--anchor', head, '--json'])
    t.same(anchored.json<{ findings: unknown }>().findings, [missing])

    const accepted = await cli.json(['audit', 'accept', '--reason', 'a clumsy DELETE'])
    t.match(accepted, { accepted: [missing], left: ['row 4 is missing'], head: /^5:/ })
    await cli.json(['users', 'enable', 'alice'])
    const later = await cli.run(['audit', 'verify', '--anchor', head, '--json'])
    t.match(later.json(), { signed: true, head: /^6:/ })
    t.same(later.json<{ findings: unknown }>().findings, ['row 4 is missing'], 'until it is pruned')
  },
)

t.test('a restore says what the log had reached only if it was the log of the restored store', async (t) => {
  const cli = await withEvents(t as Test)
  if (cli.remote) return
  await cli.json(['backup', `${cli.dir}/copy.db`])
  rmSync(`${cli.dir}/data`, { recursive: true })
  const serving = { settings: { PORT: '0' }, stopSignal: async () => 'SIGTERM' }
  await cli.json(['serve', '--new'], serving)
  await cli.json(['restore', `${cli.dir}/copy.db`, '--force'])
  const events = await cli.json<{ event: string; fields: object }[]>(['audit'])
  const restored = events.filter(({ event }) => event === 'store.restored')
  t.same(
    restored.map(({ fields }) => fields),
    [{ target: 'copy.db' }],
    'and not what the log of the store had reached that was created in between',
  )
})

t.test(
  'with another master key verify reports bad signatures, and without one it gives no verdict',
  async (t) => {
    const cli = await withEvents(t as Test)
    if (cli.remote) return
    const other = { settings: { MASTER_KEY: Buffer.alloc(32, 3).toString('base64url') } }
    t.equal((await cli.run(['audit', 'verify'], other)).code, 1)
    t.match(await cli.run(['audit', 'verify'], { settings: { KEYS_DIR: `${cli.dir}/elsewhere` } }), {
      code: 1,
      err: /the master key is missing/,
    })
  },
)

t.test('the log is signed from the first start on', async (t) => {
  const cli = testCli(t as Test)
  await cli.start({ AUDIT_RETENTION: 'off' })
  t.match(await cli.json(['audit', 'verify']), { rows: 0, head: null, signed: true, findings: [] })
})

t.test('a backup includes the audit log, and the restored log continues it', async (t) => {
  const cli = await withEvents(t as Test)
  if (cli.remote) return
  await cli.json(['backup', `${cli.dir}/copy.db`])
  await cli.json(['users', 'enable', 'alice'])
  await cli.json(['restore', `${cli.dir}/copy.db`, '--force'])
  t.match(await cli.json(['audit', 'verify']), { rows: 5, findings: [] })
  t.match((await listAudit(cli)).at(-1), {
    event: 'store.restored',
    actor: 'operator:tester',
    fields: { target: 'copy.db', reason: /^the audit log had reached 5:/ },
  })
  await cli.json(['users', 'enable', 'alice'])
  t.match(await cli.json(['audit', 'verify']), { rows: 6, findings: [] })
})

t.test('a transfer copies the audit log, and the copy verifies', async (t) => {
  const cli = await withEvents(t as Test)
  if (cli.remote) return
  const before = await cli.json(['audit', 'verify'])
  const target = { settings: { DATABASE_URL: `sqlite:${cli.dir}/data/other.db` } }
  await cli.json(['transfer', '--to', target.settings.DATABASE_URL])
  t.same(await cli.json(['audit', 'verify'], target), before)
  await cli.json(['users', 'enable', 'alice'], target)
  t.match(await cli.json(['audit', 'verify'], target), { rows: 5, findings: [] })
})

t.test('with KEYTURN_AUDIT_RETENTION=off nothing is stored, and the audit command says so', async (t) => {
  const cli = testCli(t as Test)
  const withoutRetention = { settings: { AUDIT_RETENTION: 'off' } }
  await cli.start(withoutRetention.settings)
  await cli.json(['keys', 'list'], withoutRetention)
  t.match(await cli.run(['audit'], withoutRetention), {
    code: 0,
    out: 'none\n',
    err: /KEYTURN_AUDIT_RETENTION is off/,
  })
})
