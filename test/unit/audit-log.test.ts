import t, { type Test } from 'tap'
import { type AnchorKeeper, isLater, type KeptAnchor, noAnchorKeeper } from '../../src/audit/anchor.ts'
import { type AuditKeys, signatureOf, signHead } from '../../src/audit/chain.ts'
import type { AuditFields } from '../../src/audit/events.ts'
import { type AuditLog, createAuditLog } from '../../src/audit/log.ts'
import { verifyLog } from '../../src/audit/verify.ts'
import { createAuditKeys } from '../../src/keys/audit-keys.ts'
import { createDataKey } from '../../src/keys/data-keys.ts'
import type { AuditHead, AuditStore } from '../../src/store/contracts/audit.ts'
import { StoreUnavailable } from '../../src/store/db.ts'
import { createStore, openDb, type Store } from '../../src/store/index.ts'
import { migrate } from '../../src/store/migrate.ts'
import { systemRandom } from '../../src/system.ts'
import { testClock } from '../support/server/clock.ts'
import { type TestLogger, testLogger } from '../support/server/log.ts'

/** Newest data key first. */
const keysOf = (...numbers: number[]): AuditKeys =>
  createAuditKeys(numbers.map((number) => createDataKey(number, Buffer.alloc(32, number))))
const KEYS = keysOf(1)
const clock = testClock(1_000_000)

/** A store whose head is signed, as it is before the ring is created. */
async function newStore(t: Test): Promise<Store> {
  const store = await unsignedStore(t)
  await writer(store, { hasRing: false }).log.signUnsigned()
  return store
}

async function unsignedStore(t: Test): Promise<Store> {
  const db = openDb('sqlite::memory:')
  t.teardown(() => db.close())
  await migrate(db, clock)
  return createStore(db)
}

/** An anchor outside the database, as the store record keeps it. */
function keeper(first: KeptAnchor | null = null): AnchorKeeper & { value: KeptAnchor | null } {
  const self = {
    value: first,
    read: () => self.value,
    async advance(anchor: KeptAnchor) {
      if (!self.value || isLater(anchor, self.value)) self.value = anchor
    },
  }
  return self
}

interface World {
  readonly log: AuditLog
  readonly logger: TestLogger
  readonly alarms: AuditFields[]
}

interface Options {
  readonly rows?: Partial<AuditStore>
  readonly keys?: () => AuditKeys | null
  readonly hasRing?: boolean
  readonly anchor?: AnchorKeeper
  readonly mostWaiting?: number
}

function writer({ auditRows }: Store, options: Options = {}): World {
  const logger = testLogger()
  const alarms: AuditFields[] = []
  const log: AuditLog = createAuditLog({
    rows: { ...auditRows, ...options.rows },
    clock,
    random: systemRandom,
    logger,
    keys: async () => (options.keys ? options.keys() : KEYS),
    hasRing: async () => options.hasRing ?? true,
    anchor: options.anchor ?? noAnchorKeeper,
    alarm(event, fields) {
      alarms.push(fields)
      log.record(event, fields)
    },
    maxWaiting: options.mostWaiting ?? 1000,
  })
  return { log, logger, alarms }
}

/** An event that is never aggregated. */
function record({ log }: World, from: number, to: number, actor = 'keyturn'): void {
  for (let i = from; i <= to; i += 1) log.record('keys.rotated', { actor, kid: `${i}` })
}

const kids = async ({ auditRows }: Store, actor?: string) =>
  (await auditRows.page(0, 5000))
    .filter((row) => row.event === 'keys.rotated' && (actor === undefined || row.actor === actor))
    .map((row) => Number(JSON.parse(row.fields).kid))

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

const findings = async (
  { auditRows: rows }: Store,
  keys: AuditKeys | null = KEYS,
  hasRing = true,
  kept: KeptAnchor | null = null,
) =>
  (
    await verifyLog({
      rows,
      keys,
      hasRing,
      ...(kept ? { kept: { anchor: kept, file: 'keys/store.json' } } : {}),
    })
  ).findings

const unavailable = () => Promise.reject(new StoreUnavailable(new Error('away')))

t.test('each event is announced, also one that is only counted in a row that is written later', async (t) => {
  const one = writer(await newStore(t as Test))
  let announced = 0
  one.log.onRecord(() => {
    announced += 1
  })
  const states: boolean[] = []
  const flush = async (all?: 'all') => {
    await one.log.flush(all)
    states.push(one.log.state().aggregating)
  }
  record(one, 1, 1)
  await flush()
  for (let i = 0; i < 30; i += 1) one.log.record('token.refused', { reason: 'invalid_client' })
  await flush()
  await flush('all')
  t.equal(announced, 31)
  t.same(states, [false, true, false])
})

t.test('events are stored in order, in batches, and signed', async (t) => {
  const store = await newStore(t as Test)
  let batches = 0
  const append: AuditStore['append'] = (...args) => {
    batches += 1
    return store.auditRows.append(...args)
  }
  const one = writer(store, { rows: { append } })
  await one.log.flush()
  t.equal(batches, 0, 'an empty batch costs nothing')
  record(one, 1, 450)
  t.equal(one.log.state().waiting, 450)
  const flushed = one.log.flush()
  record(one, 451, 460)
  await flushed
  await one.log.flush()
  t.same(await kids(store), upTo(460))
  t.equal(batches, 5)
  t.same(await findings(store), [])
  const { head } = await store.auditRows.state()
  t.match(one.log.state(), { waiting: 0, written: 460, dropped: 0, anchor: `460:${head?.hash}` })
})

t.test(
  'equal events that two nodes record in the same second are two rows, however their writes interleave (docs/security.md P6)',
  async (t) => {
    const store = await newStore(t as Test)
    const nodes = [writer(store), writer(store)]
    // Each node now knows the same end of the log.
    for (const { log } of nodes) await log.check()
    for (const node of nodes) record(node, 1, 1)
    await Promise.all(nodes.map(({ log }) => log.flush()))
    t.same(await kids(store), [1, 1])
    t.same(await findings(store), [])
  },
)

t.test(
  'nodes that write concurrently append one after the other (RFC 7523 §3; docs/security.md P6)',
  async (t) => {
    const store = await newStore(t as Test)
    const nodes = ['a', 'b', 'c'].map((name) => ({ name, world: writer(store) }))
    for (let round = 0; round < 20; round += 1) {
      for (const { name, world } of nodes) record(world, round * 10 + 1, round * 10 + 10, name)
      await Promise.all(nodes.map(({ world }) => world.log.flush()))
    }
    for (const { name, world } of nodes) {
      t.same(await kids(store, name), upTo(200), 'all of them, in order')
      t.same(world.alarms, [])
    }
    t.same(await findings(store), [])
  },
)

t.test('a batch whose commit is uncertain is not written twice', async (t) => {
  for (const committed of [true, false]) {
    const store = await newStore(t as Test)
    let cut = true
    const append: AuditStore['append'] = async (...args) => {
      if (!cut) return store.auditRows.append(...args)
      cut = false
      if (committed) await store.auditRows.append(...args)
      throw new StoreUnavailable(new Error('the connection was lost'))
    }
    const one = writer(store, { rows: { append } })
    record(one, 1, 10)
    await t.rejects(one.log.flush(), { name: 'StoreUnavailable' })
    record(one, 11, 12)
    const other = writer(store)
    record(other, 1, 3, 'other')
    await other.log.flush()
    await one.log.flush()
    t.same(await kids(store, 'keyturn'), upTo(12), committed ? 'it was' : 'it was not')
    t.same(await findings(store), [])
    t.same([...one.alarms, ...other.alarms], [])
  }
})

t.test('a batch that is committed only after the check is not written twice either', async (t) => {
  const store = await newStore(t as Test)
  let late: (() => Promise<boolean>) | undefined
  let reads = 0
  const rows: Partial<AuditStore> = {
    async append(...args) {
      if (reads > 0) return store.auditRows.append(...args)
      late = () => store.auditRows.append(...args)
      throw new StoreUnavailable(new Error('the connection was lost'))
    },
    async state() {
      const state = await store.auditRows.state()
      // Between the check and the write.
      if (late) await late()
      if (late) reads += 1
      return state
    },
  }
  const one = writer(store, { rows })
  record(one, 1, 5)
  await t.rejects(one.log.flush(), { name: 'StoreUnavailable' })
  await one.log.flush()
  t.same(await kids(store), upTo(5))
  t.same(await findings(store), [])
})

t.test('while the store is down the newest events wait, and a later row counts those lost', async (t) => {
  const store = await newStore(t as Test)
  let away = true
  const append: AuditStore['append'] = (...args) => (away ? unavailable() : store.auditRows.append(...args))
  const one = writer(store, { rows: { append }, mostWaiting: 300 })
  record(one, 1, 250)
  await t.rejects(one.log.flush(), { name: 'StoreUnavailable' })
  // 100 of them are the batch that was attempted.
  record(one, 251, 600)
  await t.rejects(one.log.flush(), { name: 'StoreUnavailable' })
  t.match(one.log.state(), { waiting: 400, written: 0, dropped: 200 })
  away = false
  await one.log.flush()
  t.same(await kids(store), [...upTo(100), ...upTo(600).slice(300)])
  const all = await store.auditRows.page(0, 1000)
  t.match(
    all.filter(({ event }) => event === 'audit.dropped'),
    [{ count: 200, since: 1_000_000, at: 1_000_000 }],
  )
  t.equal(
    all.reduce((sum, { count }) => sum + count, 0),
    600,
  )
  t.same(await findings(store), [])
})

t.test('rows that cannot be written do not block later rows', async (t) => {
  const store = await newStore(t as Test)
  let mistakes = 1
  const append: AuditStore['append'] = (...args) => {
    mistakes -= 1
    return mistakes >= 0 ? Promise.reject(new TypeError('no such column')) : store.auditRows.append(...args)
  }
  const one = writer(store, { rows: { append } })
  record(one, 1, 5)
  await t.rejects(one.log.flush(), TypeError)
  record(one, 6, 8)
  await one.log.flush()
  t.same(await kids(store), [6, 7, 8])
  t.equal(one.log.state().dropped, 5)
  t.match(await store.auditRows.find({ event: 'audit.dropped' }, 9), [{ count: 5 }])
})

t.test('without the master key no row is written and none is lost', async (t) => {
  const store = await newStore(t as Test)
  let keys: AuditKeys | null = null
  const one = writer(store, { keys: () => keys })
  record(one, 1, 3)
  await t.rejects(one.log.flush(), { message: 'the master key is missing' })
  keys = KEYS
  await one.log.flush()
  t.same(await kids(store), [1, 2, 3])
  t.same(await findings(store), [])
})

t.test('rows written before the master key existed are signed by the node that creates it', async (t) => {
  const store = await unsignedStore(t as Test)
  const command = writer(store, { keys: () => null, hasRing: false })
  record(command, 1, 3)
  await command.log.flush()
  t.equal((await store.auditRows.state()).head?.mac, null)
  t.same(await findings(store, null, false), [])
  const first = writer(store, { hasRing: false })
  await first.log.signUnsigned()
  t.same(await findings(store), [])
  const server = writer(store)
  record(server, 4, 4)
  await server.log.flush()
  t.same(await findings(store), [])
  t.same(server.alarms, [])
})

const tampered: Record<
  string,
  { sql: string | string[]; reason: string; finding: RegExp; params?: string[] }
> = {
  'a head that was moved': {
    sql: `UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit WHERE seq = 2)`,
    reason: 'head changed',
    finding: /was not written by Keyturn/,
  },
  'a removed signature': {
    sql: 'UPDATE audit_head SET mac = NULL',
    reason: 'head changed',
    finding: /was not written by Keyturn/,
  },
  'a log that was deleted, with a head as in a new store': {
    sql: [
      'DELETE FROM audit',
      `UPDATE audit_head SET seq = 0, hash = '', base_seq = 0, base_hash = '', mac = NULL`,
    ],
    reason: 'head changed',
    finding: /was not written by Keyturn/,
  },
  'a row after the end': {
    sql: `INSERT INTO audit SELECT 4, since, at, event, actor, sub, client_id, fields, ip, target, count, hash FROM audit WHERE seq = 3`,
    reason: 'rows after the head',
    finding: /row 4 was changed/,
  },
  'a missing head': {
    sql: 'DELETE FROM audit_head',
    reason: 'head missing',
    finding: /was not written by Keyturn/,
  },
}

for (const [what, { sql, reason, finding }] of Object.entries(tampered)) {
  t.test(
    `${what}: it is reported once and stays visible, events are still written, and nothing is pruned`,
    async (t) => {
      const store = await newStore(t as Test)
      const one = writer(store)
      record(one, 1, 3)
      await one.log.flush()
      await store.db.batch([sql].flat().map((one) => ({ sql: one })))
      const other = writer(store)
      for (const node of [one, other]) {
        record(node, 4, 5)
        await node.log.flush()
        record(node, 6, 6)
        await node.log.flush()
        t.same(node.alarms, [{ actor: 'keyturn', reason: node === one ? reason : 'head changed' }])
        t.equal(node.logger.lines.filter(({ level }) => level === 'error').length, 1)
        t.equal(await node.log.prune(2_000_000, 100), 0)
      }
      t.match((await findings(store)).join('\n'), finding)
      t.match(await store.auditRows.find({ event: 'audit.broken' }, 9), [
        { actor: 'keyturn' },
        { actor: 'keyturn' },
      ])
      t.same((await kids(store)).slice(-3), [4, 5, 6])
    },
  )
}

t.test('rows that were deleted at the end are reported at the next start', async (t) => {
  const store = await newStore(t as Test)
  const one = writer(store)
  record(one, 1, 3)
  await one.log.flush()
  await store.db.batch([{ sql: 'DELETE FROM audit WHERE seq > 1' }])
  const other = writer(store)
  await other.log.check()
  t.same(other.alarms, [{ actor: 'keyturn', reason: 'end cut off' }])
  t.match(await findings(store), [/^rows 2 to 3 are missing: the end of the log was cut off/])
})

t.test('a rolled-back log is detected by a process that knows a later head', async (t) => {
  for (const regrown of [false, true]) {
    const store = await newStore(t as Test)
    const one = writer(store)
    record(one, 1, 3)
    await one.log.flush()
    const before = await store.auditRows.state()
    record(one, 4, 6)
    await one.log.flush()
    const { head } = before
    await store.db.batch([
      { sql: 'DELETE FROM audit WHERE seq > 3' },
      {
        sql: 'UPDATE audit_head SET seq = $1, hash = $2, mac = $3',
        params: [head?.seq ?? 0, head?.hash ?? '', head?.mac ?? null],
      },
    ])
    t.same(await findings(store), [], 'the chain verifies')
    const other = writer(store)
    if (regrown) record(other, 7, 20)
    await other.log.flush()
    t.same(other.alarms, [])
    await one.log.check()
    t.same(one.alarms, [{ actor: 'keyturn', reason: 'rolled back' }])
  }
})

t.test('pruning deletes the oldest rows, moves the start of the chain, and the rest verifies', async (t) => {
  const store = await newStore(t as Test)
  const one = writer(store)
  record(one, 1, 10)
  await one.log.flush()
  clock.tick(100)
  record(one, 11, 15)
  await one.log.flush()
  t.equal(await one.log.prune(clock.now() - 50, 4), 4)
  t.same(await findings(store), [])
  t.equal(await one.log.prune(clock.now() - 50, 100), 6)
  t.equal(await one.log.prune(clock.now() - 50, 100), 0)
  t.same(await kids(store), [11, 12, 13, 14, 15])
  t.same(await findings(store), [])
  const other = writer(store)
  record(other, 16, 16)
  await other.log.flush()
  t.equal(await other.log.prune(clock.now() + 1, 100), 6)
  t.same(await store.auditRows.page(0, 9), [])
  t.same(await findings(store), [])
  record(one, 17, 17)
  await one.log.flush()
  const { head } = await store.auditRows.state()
  t.match(head, { seq: 17, baseSeq: 16 })
  t.same(head && signatureOf(KEYS, head), { by: 'newest' })
  t.same([...one.alarms, ...other.alarms], [])
  t.same(await findings(store), [])
})

/** Puts back the log as it was at an earlier state. */
async function rollBack({ db }: Store, head: AuditHead | null): Promise<void> {
  await db.batch([
    { sql: 'DELETE FROM audit WHERE seq > $1', params: [head?.seq ?? 0] },
    {
      sql: 'UPDATE audit_head SET seq = $1, hash = $2, accepted_at = $3, mac = $4',
      params: [head?.seq ?? 0, head?.hash ?? '', head?.acceptedAt ?? 0, head?.mac ?? null],
    },
  ])
}

t.test(
  'an anchor outside the database finds an older copy of the log, at the start and in verify',
  async (t) => {
    for (const regrown of [0, 20]) {
      const store = await newStore(t as Test)
      const anchor = keeper()
      const one = writer(store, { anchor })
      record(one, 1, 3)
      await one.log.flush()
      const { head } = await store.auditRows.state()
      record(one, 4, 6)
      await one.log.flush()
      await one.log.keepAnchor()
      t.match(anchor.value, { seq: 6, acceptedAt: 0 })
      await rollBack(store, head)
      if (regrown > 0) {
        const stranger = writer(store)
        record(stranger, 7, regrown)
        await stranger.log.flush()
      }
      t.same(await findings(store), [], 'inside the database everything fits')
      t.match(await findings(store, KEYS, true, anchor.value), [
        regrown > 0
          ? /^row 6 is not the row in keys\/store.json/
          : /^the log ends at row 3, before row 6 in keys\/store.json/,
      ])

      const restarted = writer(store, { anchor })
      record(restarted, 30, 31)
      await restarted.log.flush()
      t.same(restarted.alarms, [{ actor: 'keyturn', reason: 'rolled back' }])
      t.match((await findings(store)).join(), /was not written by Keyturn/, 'it stays visible')
      t.equal(await restarted.log.prune(2_000_000, 100), 0)
      await restarted.log.keepAnchor()
      t.match(anchor.value, { seq: 6 }, 'the anchor outside is not moved')
    }
  },
)

t.test('a log that a running node found rolled back is not signed again until it is accepted', async (t) => {
  const store = await newStore(t as Test)
  const anchor = keeper()
  const one = writer(store, { anchor })
  record(one, 1, 3)
  await one.log.flush()
  const { head } = await store.auditRows.state()
  record(one, 4, 6)
  await one.log.flush()
  await one.log.keepAnchor()
  await rollBack(store, head)
  record(one, 7, 9)
  await one.log.flush()
  t.match((await findings(store)).join(), /was not written by Keyturn/)

  const command = writer(store, { anchor })
  const fields = { actor: 'operator:root', reason: 'restored a backup' }
  const at = clock.now()
  await command.log.accept({ event: 'audit.accepted', fields, since: at, at, count: 1 })
  await command.log.keepAnchor()
  t.match(anchor.value, { acceptedAt: at })
  t.same(await findings(store, KEYS, true, anchor.value), [])
  t.match(await store.auditRows.find({ event: 'audit.accepted' }, 9), [{ actor: 'operator:root' }])

  const other = writer(store, { anchor: keeper({ seq: 6, hash: 'of before', acceptedAt: 0 }) })
  for (const node of [one, other]) {
    record(node, 10, 10)
    await node.log.flush()
    t.same(await findings(store), [], 'nodes with an older anchor follow')
  }
  t.same(other.alarms, [])
  const signed = (await store.auditRows.state()).head
  record(one, 11, 11)
  await one.log.flush()
  await one.log.keepAnchor()
  await rollBack(store, signed)
  const again = writer(store, { anchor })
  await again.log.check()
  t.same(again.alarms, [{ actor: 'keyturn', reason: 'rolled back' }], 'an acceptance covers nothing later')
  await rollBack(store, head)
  const older = writer(store, { anchor })
  await older.log.check()
  t.same(older.alarms, [{ actor: 'keyturn', reason: 'rolled back' }], 'nor a copy from before it')
  t.match(await findings(store, KEYS, true, anchor.value), [/^the log is from before the acceptance/])
})

t.test('an accepted log is intact, whatever was done to its head', async (t) => {
  for (const [what, { sql }] of Object.entries(tampered)) {
    const store = await newStore(t as Test)
    const one = writer(store)
    record(one, 1, 3)
    await one.log.flush()
    await store.db.batch([sql].flat().map((text) => ({ sql: text })))
    record(one, 4, 4)
    await one.log.flush()
    const at = clock.now()
    await writer(store).log.accept({ event: 'audit.accepted', fields: {}, since: at, at, count: 1 })
    const left = await findings(store)
    t.same(
      left.filter((finding) => !/^rows? [\d to]+ (is|are|was|were) (missing|changed)/.test(finding)),
      [],
      `${what}: only what happened to rows stays`,
    )
    const alarms = one.alarms.length
    record(one, 5, 5)
    await one.log.flush()
    t.same(await findings(store), left, 'and the next rows are signed')
    t.equal(one.alarms.length, alarms)
  }
})

t.test(
  'a head with a MAC of an older data key is detected, and distinguished from a forged one',
  async (t) => {
    const store = await newStore(t as Test)
    const one = writer(store)
    record(one, 1, 3)
    await one.log.flush()
    const { head } = await store.auditRows.state()
    const moved = await one.log.signedWith(keysOf(2))
    if (!moved || !head) throw new Error('the log is intact')
    t.same(await store.auditRows.append(moved.expected, [], moved.head), true)
    const rotated = () => keysOf(2, 1)
    t.same(await findings(store, rotated()), [])

    await store.auditRows.append(moved.head, [], signHead(KEYS, head))
    t.match(await findings(store, rotated()), [/^the head has a MAC of data key 1, which no longer signs/])
    const node = writer(store, { keys: rotated })
    await node.log.check()
    t.same(node.alarms, [{ actor: 'keyturn', reason: 'head signed with an old key' }])
    t.equal(await node.log.signedWith(keysOf(3)), null, 'and a rotation does not sign it')
  },
)
