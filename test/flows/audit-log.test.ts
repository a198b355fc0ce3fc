import t, { type Test } from 'tap'
import { noAnchorKeeper } from '../../src/audit/anchor.ts'
import { createAuditLog } from '../../src/audit/log.ts'
import { fieldsOf } from '../../src/audit/personal.ts'
import { verifyLog } from '../../src/audit/verify.ts'
import { auditKeys } from '../../src/keys/audit-keys.ts'
import type { AuditHead, AuditRow } from '../../src/store/contracts/audit.ts'
import { StoreUnavailable } from '../../src/store/db.ts'
import { systemRandom } from '../../src/system.ts'
import { compare } from '../support/server/audit-consistency.ts'
import { basic, clientCredentials, login, post } from '../support/server/requests.ts'
import { seed, user } from '../support/server/seed.ts'
import { type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'

async function started(t: Test, options: TestServerOptions = {}): Promise<TestServer> {
  const server = await testServer(options)
  t.teardown(() => server.close())
  await seed(server.store)
  return server
}

const log = (server: TestServer) => server.deps.base.auditLog

async function rowsOf({ store }: TestServer): Promise<AuditRow[]> {
  return store.auditRows.page(0, 10_000)
}

async function verdict({ config, store }: TestServer, anchor?: string) {
  const [seq = '', hash = ''] = anchor?.split(':') ?? []
  return verifyLog({
    rows: store.auditRows,
    keys: await auditKeys(config, store)(),
    hasRing: true,
    ...(anchor ? { anchor: { seq: Number(seq), hash } } : {}),
  })
}

/** The users of `tenRows`: what a row says about a user is kept only while the user exists. */
async function insertUsers({ store }: TestServer): Promise<void> {
  for (let i = 2; i <= 10; i += 1)
    await store.users.insert(await user({ id: `u${i}`, username: `user ${i}`, roles: [] }))
}

/** Ten rows that are never aggregated, and the head at that moment. */
async function tenRows(server: TestServer): Promise<AuditHead> {
  const { audit, auditLog } = server.deps.base
  await insertUsers(server)
  // The first row is that of the key ring.
  for (let i = 2; i <= 10; i += 1)
    audit('user.changed', { actor: 'operator:eve', sub: `u${i}`, target: `user ${i}` })
  await auditLog.flush()
  const { head } = await server.store.auditRows.state()
  t.equal(head?.seq, 10)
  return head as AuditHead
}

const CHANGED_BY_HAND = 'the test changes rows by hand'

/** What someone with access to the database might do by hand, and the finding that reports it. */
const MANUAL_CHANGES: Record<
  string,
  { readonly sql: readonly string[]; readonly found: readonly (string | RegExp)[] }
> = {
  'edits a row': {
    sql: [`UPDATE audit SET sub = 'mallory' WHERE seq = 4`],
    found: ['row 4 was changed, or row 3 and its hash were changed'],
  },
  'edits the fields of the last row': {
    sql: [`UPDATE audit SET fields = '{"target":"nobody"}' WHERE seq = 10`],
    found: ['row 10 was changed, or row 9 and its hash were changed'],
  },
  'edits a hash': {
    sql: [`UPDATE audit SET hash = 'x' WHERE seq = 4`],
    found: ['rows 4 to 5 were changed'],
  },
  'edits the last row and its hash': {
    sql: [`UPDATE audit SET hash = 'x' WHERE seq = 10`],
    found: [/^row 10 was changed/, 'the head does not fit row 10: one of them was changed'],
  },
  'changes a count': {
    sql: ['UPDATE audit SET count = 2 WHERE seq = 6'],
    found: ['row 6 was changed, or row 5 and its hash were changed'],
  },
  'deletes a row': { sql: ['DELETE FROM audit WHERE seq = 5'], found: ['row 5 is missing'] },
  'deletes several': {
    sql: ['DELETE FROM audit WHERE seq IN (3, 6, 7)'],
    found: ['row 3 is missing', 'rows 6 to 7 are missing'],
  },
  'deletes the first': { sql: ['DELETE FROM audit WHERE seq = 1'], found: ['row 1 is missing'] },
  'cuts off the end': {
    sql: ['DELETE FROM audit WHERE seq > 7'],
    found: ['rows 8 to 10 are missing: the end of the log was cut off'],
  },
  'deletes everything': {
    sql: ['DELETE FROM audit'],
    found: ['rows 1 to 10 are missing: the end of the log was cut off'],
  },
  'cuts off the end and moves the head': {
    sql: [
      'DELETE FROM audit WHERE seq > 7',
      'UPDATE audit_head SET seq = 7, hash = (SELECT hash FROM audit WHERE seq = 7)',
    ],
    found: [/^the head was not written by Keyturn/],
  },
  'cuts off the beginning and moves it': {
    sql: [
      'UPDATE audit_head SET base_seq = 3, base_hash = (SELECT hash FROM audit WHERE seq = 3)',
      'DELETE FROM audit WHERE seq <= 3',
    ],
    found: [/^the head was not written by Keyturn/],
  },
  'exchanges two rows': {
    sql: [
      'UPDATE audit SET seq = 99 WHERE seq = 3',
      'UPDATE audit SET seq = 3 WHERE seq = 8',
      'UPDATE audit SET seq = 8 WHERE seq = 99',
    ],
    found: ['rows 3 and 8 were swapped'],
  },
  'exchanges two neighbours': {
    sql: [
      'UPDATE audit SET seq = 99 WHERE seq = 3',
      'UPDATE audit SET seq = 3 WHERE seq = 4',
      'UPDATE audit SET seq = 4 WHERE seq = 99',
    ],
    found: ['rows 3 and 4 were swapped'],
  },
  'puts one in at the end': {
    sql: [
      `INSERT INTO audit (seq, since, at, event, fields, count, hash) VALUES (11, 1, 1, 'keys.rotated', '{}', 1, 'x')`,
    ],
    found: ['row 11 is after the end of the log, row 10: it was inserted'],
  },
  'puts one in before the beginning': {
    sql: [
      `INSERT INTO audit (seq, since, at, event, fields, count, hash) VALUES (0, 1, 1, 'keys.rotated', '{}', 1, 'x')`,
    ],
    found: ['row 0 is before the beginning of the log, row 1: it was inserted'],
  },
  'puts one in between and moves the others on': {
    sql: [
      'UPDATE audit SET seq = seq + 100 WHERE seq > 5',
      'UPDATE audit SET seq = seq - 99 WHERE seq > 100',
      `INSERT INTO audit (seq, since, at, event, fields, count, hash) VALUES (6, 1, 1, 'keys.rotated', '{}', 1, 'x')`,
    ],
    found: ['rows 6 to 10 were changed', /^the head does not fit row 10/, /^row 11 is after the end/],
  },
  'takes the signature away': {
    sql: [`UPDATE audit_head SET mac = NULL`],
    found: [/^the head was not written by Keyturn/],
  },
  'deletes the head': { sql: ['DELETE FROM audit_head'], found: ['the head of the log is missing'] },
}

t.test('every manual change of the audit log is detected and named', async (t) => {
  const server = await started(t as Test, { skipAuditCheck: CHANGED_BY_HAND })
  const head = await tenRows(server)
  const rows = await rowsOf(server)
  for (const [what, { sql, found }] of Object.entries(MANUAL_CHANGES)) {
    await server.store.db.batch([{ sql: 'DELETE FROM audit' }, { sql: 'DELETE FROM audit_head' }])
    const empty = { seq: 0, hash: '', baseSeq: 0, baseHash: '', acceptedAt: 0, mac: null }
    await server.store.auditRows.putHead(empty)
    await server.store.auditRows.append(empty, rows, head)
    t.same(await verdict(server).then(({ findings }) => findings), [], 'before')
    await server.store.db.batch(sql.map((one) => ({ sql: one })))
    const { findings } = await verdict(server)
    t.equal(findings.length, found.length, `${what}: ${findings.join('; ')}`)
    for (const [i, one] of found.entries()) t.match(findings[i], one, what)
  }
})

t.test('recomputed hashes are detected by the signature, and by an anchor from the log', async (t) => {
  const server = await started(t as Test, { skipAuditCheck: CHANGED_BY_HAND })
  const head = await tenRows(server)
  const anchor = `${head.seq}:${head.hash}`
  t.equal(log(server).state().anchor, anchor)
  t.same((await verdict(server, anchor)).findings, [])
  const { rows } = await forged(server)
  const last = rows.at(-1) as AuditRow
  await server.store.db.batch([
    ...rows.map(({ seq, actor, fields, target, hash }) => ({
      sql: 'UPDATE audit SET actor = $2, fields = $3, target = $4, hash = $5 WHERE seq = $1',
      params: [seq, actor, fields, target, hash],
    })),
    { sql: 'UPDATE audit_head SET hash = $1', params: [last.hash] },
  ])
  t.match((await verdict(server)).findings, [/^the head was not written by Keyturn/])
  t.match((await verdict(server, anchor)).findings, [/^row 10 is not the row of the anchor/, String])
})

/** The same log with another actor, as someone who knows the program but not the key could write it. */
async function forged(server: TestServer) {
  const other = await testServer({ skipAuditCheck: CHANGED_BY_HAND })
  const originals = await rowsOf(server)
  await insertUsers(other)
  let at = 0
  const writer = createAuditLog({
    rows: other.store.auditRows,
    clock: { now: () => originals[at]?.at ?? 0 },
    random: systemRandom,
    logger: other.logger,
    keys: auditKeys(other.config, other.store),
    anchor: noAnchorKeeper,
    hasRing: async () => true,
    alarm: () => {},
    maxWaiting: 100,
  })
  for (const row of originals) {
    writer.record(row.event as 'user.changed', {
      actor: 'operator:bob',
      ...(row.sub ? { sub: row.sub } : {}),
      ...fieldsOf(row),
    })
    at += 1
  }
  await writer.flush()
  const rows = (await rowsOf(other)).slice(-originals.length)
  await other.close()
  return { rows }
}

t.test('an anchor detects that the whole log was rolled back', async (t) => {
  const server = await started(t as Test, { skipAuditCheck: CHANGED_BY_HAND })
  const before = await tenRows(server)
  server.deps.base.audit('keys.revoked', { actor: 'operator:eve', kid: 'k' })
  await log(server).flush()
  const anchor = log(server).state().anchor ?? ''
  await server.store.db.batch([
    { sql: 'DELETE FROM audit WHERE seq = 11' },
    { sql: 'UPDATE audit_head SET seq = 10, hash = $1, mac = $2', params: [before.hash, before.mac] },
  ])
  t.same((await verdict(server)).findings, [], 'the chain verifies')
  t.match((await verdict(server, anchor)).findings, [/^the log ends at row 10, before the anchor/])
})

t.test('a flood of tokens and refusals is counted exactly, in few rows (docs/security.md Q20)', async (t) => {
  const server = await started(t as Test)
  const TIMES = 100
  const wrong = { authorization: basic('machine', 'x') }
  for (let i = 0; i < TIMES; i += 1) {
    await Promise.all([
      clientCredentials(server),
      post(server, '/oauth2/token', { grant_type: 'client_credentials' }, wrong),
      post(
        server,
        '/oauth2/token',
        { grant_type: `nonsense ${i}` },
        { authorization: basic(`nobody ${i}`, 'x') },
      ),
    ])
  }
  await log(server).flush('all')
  const rows = await rowsOf(server)
  const events = rows.reduce((sum, { count }) => sum + count, 0)
  t.equal(events, server.logger.audits().length)
  t.ok(events >= TIMES * 5, `${events} events`)
  t.ok(rows.length < 200, `${rows.length} rows`)
  const aggregated = rows.filter(({ event, count }) => event === 'token.issued' && count > 1)
  t.match(aggregated, [{ clientId: 'machine', count: TIMES - 20 }])
  t.same(aggregated.map(fieldsOf), [{ grant_type: 'client_credentials' }])
})

t.test('two nodes writing to one store at once make one complete chain (docs/security.md Q9)', async (t) => {
  const settings = {
    database: `${t.testdir()}/keyturn.db`,
    masterKey: Buffer.alloc(32, 7).toString('base64url'),
  }
  const [one, two] = [await testServer(settings), await testServer(settings)]
  await seed(one.store)
  for (let round = 0; round < 4; round += 1) {
    await Promise.all([one, two].flatMap((node) => [login(node), clientCredentials(node), log(node).flush()]))
  }
  await Promise.all([log(one).flush('all'), log(two).flush('all')])
  t.same((await verdict(one)).findings, [])
  t.same(compare([...one.logger.audits(), ...two.logger.audits()] as never, await rowsOf(one)), [])
  await one.close()
  await two.close()
})

t.test(
  'while the store refuses audit rows requests continue, and the rows are written later (docs/security.md Q3)',
  async (t) => {
    const server = await started(t as Test)
    const rows = server.store.auditRows
    const append = rows.append
    Object.assign(rows, { append: () => Promise.reject(new StoreUnavailable(new Error('away'))) })
    t.equal((await clientCredentials(server)).statusCode, 200)
    await t.rejects(log(server).flush(), { name: 'StoreUnavailable' })
    t.equal((await login(server)).statusCode, 200)
    t.match(log(server).state(), { written: 0 })
    Object.assign(rows, { append })
    await log(server).flush()
    t.same(log(server).state().waiting, 0)
    t.same(compare(server.logger.audits() as never, await rowsOf(server)), [])
  },
)

t.test('rows older than KEYTURN_AUDIT_RETENTION are pruned, and the rest verifies', async (t) => {
  const server = await started(t as Test, { settings: { AUDIT_RETENTION: '1h' } })
  await tenRows(server)
  server.clock.tick(3500)
  await clientCredentials(server)
  await log(server).flush()
  server.clock.tick(200)
  await server.deps.jobs.prune()
  t.match(await rowsOf(server), [{ seq: 11, event: 'token.issued' }])
  const { findings, prunedTo, rows } = await verdict(server)
  t.match({ findings, prunedTo, rows }, { findings: [], prunedTo: 10, rows: 1 })
  t.match((await verdict(server, '5:xxx')).findings, [
    'row 5 was pruned: the anchor is too old to be compared',
  ])
  server.clock.tick(3600)
  await server.deps.jobs.prune()
  t.same(await rowsOf(server), [])
  t.same((await verdict(server)).findings, [])
})

t.test(
  'with KEYTURN_AUDIT_RETENTION=off the store keeps no audit rows and deletes existing ones',
  async (t) => {
    const settings = {
      database: `${t.testdir()}/keyturn.db`,
      masterKey: Buffer.alloc(32, 7).toString('base64url'),
    }
    const before = await testServer(settings)
    await tenRows(before)
    await before.close()
    const server = await testServer({ ...settings, settings: { AUDIT_RETENTION: 'off' } })
    await seed(server.store)
    await clientCredentials(server)
    await log(server).flush('all')
    t.equal(server.logger.audits('token.issued').length, 1)
    t.equal((await rowsOf(server)).length, 10)
    await server.deps.jobs.prune()
    t.same(await rowsOf(server), [])
    t.same((await verdict(server)).findings, [])
    await server.close()
  },
)
