import { type AuditHead, type AuditRow, type AuditStore, usersOf } from '../../src/store/contracts/audit.ts'
import { user } from '../support/server/seed.ts'
import { type Contract, winners } from './contract.ts'

const FIRST: AuditHead = { seq: 0, hash: '', baseSeq: 0, baseHash: '', acceptedAt: 0, mac: null }

export const auditRow = (seq: number, overrides: Partial<AuditRow> = {}): AuditRow => ({
  seq,
  since: 100,
  at: 100,
  event: 'keys.rotated',
  actor: null,
  sub: null,
  clientId: null,
  fields: '{}',
  ip: null,
  target: null,
  count: 1,
  hash: `hash ${seq}`,
  ...overrides,
})

const at = (seq: number, overrides: Partial<AuditHead> = {}): AuditHead => ({
  ...FIRST,
  seq,
  hash: `hash ${seq}`,
  mac: `mac ${seq}`,
  ...overrides,
})

const rows = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => auditRow(from + i))
const seqs = (found: readonly AuditRow[]) => found.map(({ seq }) => seq)

async function fill(auditRows: AuditStore, all: readonly AuditRow[]): Promise<void> {
  await auditRows.append(FIRST, all, at(all.at(-1)?.seq ?? 0))
}

export const auditContract: Contract = {
  'a new log has a head and no rows': async (t, { auditRows }) => {
    t.same(await auditRows.state(), { head: FIRST, firstSeq: null, lastSeq: 0 })
    t.same(await auditRows.page(0, 10), [])
  },

  'append stores rows and the head, and page returns them unchanged': async (t, { auditRows }) => {
    const full = auditRow(1, {
      since: 90,
      actor: 'user:u',
      sub: 'u',
      clientId: 'c',
      fields: '{"ip":"::1"}',
      count: 7,
    })
    t.equal(await auditRows.append(FIRST, [full], at(1)), true)
    t.equal(await auditRows.append(at(1), rows(2, 46), at(46)), true)
    t.same(await auditRows.state(), { head: at(46), firstSeq: 1, lastSeq: 46 })
    t.same(await auditRows.page(0, 1), [full])
    t.same(seqs(await auditRows.page(40, 3)), [41, 42, 43])
    t.same(seqs(await auditRows.page(44, 9)), [45, 46])
  },

  'append stores values about users only if the users exist, and usersOf says whose they are': async (
    t,
    { auditRows, users },
  ) => {
    await users.insert(await user({ id: 'u', roles: [] }))
    const values = { ip: 'salt.ip', target: 'salt.name' }
    const all = [
      auditRow(1, { ...values, actor: 'operator:root', sub: 'u' }),
      auditRow(2, { ...values, actor: 'user:u', sub: 'gone' }),
      auditRow(3, { ...values, actor: 'user:gone', sub: 'u' }),
      auditRow(4, { ...values, actor: 'client:c', clientId: 'c', sub: 'u' }),
      auditRow(5, { ...values, sub: 'gone' }),
    ]
    t.equal(await auditRows.append(FIRST, all, at(5)), true)
    t.same(
      (await auditRows.page(0, 9)).map(({ ip, target }) => [ip !== null, target !== null]),
      [
        [true, true],
        [true, false],
        [false, true],
        [true, true],
        [false, false],
      ],
    )
    t.same(usersOf({ actor: 'client:c', sub: 'c', clientId: 'c' }), { ip: null, target: null })
    t.same(usersOf({ actor: null, sub: null, clientId: 'c' }), { ip: null, target: null })
  },

  'append changes nothing if the head is not the one that was seen': async (t, { auditRows }) => {
    await fill(auditRows, rows(1, 3))
    for (const seen of [
      at(3, { acceptedAt: 1 }),
      FIRST,
      at(3, { hash: 'x' }),
      at(3, { baseSeq: 1 }),
      at(3, { mac: 'x' }),
      at(3, { mac: null }),
    ]) {
      t.equal(await auditRows.append(seen, [auditRow(4)], at(4)), false)
    }
    t.same(await auditRows.state(), { head: at(3), firstSeq: 1, lastSeq: 3 })
  },

  'of concurrent appends that saw the same head, one succeeds (RFC 7523 §3; docs/security.md P6)': async (
    t,
    { auditRows },
    { connect },
  ) => {
    const other = (await connect()).auditRows
    const all = await winners(10, (i) =>
      (i % 2 === 0 ? auditRows : other).append(
        FIRST,
        [auditRow(1, { actor: `${i}` })],
        at(1, { mac: `${i}` }),
      ),
    )
    t.same(all, { won: 1, lost: 9 })
    const { head } = await auditRows.state()
    t.same(
      (await auditRows.page(0, 9)).map(({ actor }) => actor),
      [head?.mac],
      'the head and the rows come from the same append',
    )
  },

  'append changes nothing if a row with the same number exists': async (t, { auditRows, db }) => {
    await fill(auditRows, [auditRow(1)])
    await db.batch([{ sql: `UPDATE audit SET seq = 2 WHERE seq = 1` }])
    t.equal(await auditRows.append(at(1), [auditRow(2)], at(2)), false)
    t.same(await auditRows.state(), { head: at(1), firstSeq: 2, lastSeq: 2 })
  },

  'putHead stores a head only if there is none': async (t, { auditRows, db }) => {
    t.equal(await auditRows.putHead(at(5)), false)
    await db.batch([{ sql: 'DELETE FROM audit_head' }])
    t.same(await auditRows.state(), { head: null, firstSeq: null, lastSeq: 0 })
    t.equal(await auditRows.append(FIRST, [auditRow(1)], at(1)), false)
    t.equal(await auditRows.putHead(at(5)), true)
    t.same((await auditRows.state()).head, at(5))
  },

  'prune deletes rows up to the new beginning, if the head is the one that was seen': async (
    t,
    { auditRows },
  ) => {
    await fill(auditRows, rows(1, 5))
    const pruned = at(5, { baseSeq: 2, baseHash: 'hash 2', mac: 'new' })
    t.equal(await auditRows.prune(FIRST, pruned), false)
    t.same(seqs(await auditRows.page(0, 9)), [1, 2, 3, 4, 5])
    t.equal(await auditRows.prune(at(5), pruned), true)
    t.same(await auditRows.state(), { head: pruned, firstSeq: 3, lastSeq: 5 })
    t.equal(await auditRows.prune(at(5), pruned), false)
    t.equal(await auditRows.append(pruned, [auditRow(6)], at(6, { baseSeq: 2, baseHash: 'hash 2' })), true)
  },

  'find selects rows by time, user, client and event, newest first': async (t, { auditRows }) => {
    await fill(auditRows, [
      auditRow(1, { at: 10, sub: 'u', event: 'login.failed' }),
      auditRow(2, { at: 20, actor: 'user:u', clientId: 'c' }),
      auditRow(3, { at: 30, actor: 'client:c' }),
      auditRow(4, { at: 30, actor: 'user:other', sub: 'other' }),
      // Another node's clock is behind.
      auditRow(5, { at: 25 }),
    ])
    t.same(seqs(await auditRows.find({}, 9)), [4, 3, 5, 2, 1])
    t.same(seqs(await auditRows.find({}, 2)), [4, 3])
    t.same(seqs(await auditRows.find({ since: 20, until: 30 }, 9)), [5, 2])
    t.same(seqs(await auditRows.find({ userId: 'u' }, 9)), [2, 1])
    t.same(seqs(await auditRows.find({ clientId: 'c' }, 9)), [3, 2])
    t.same(seqs(await auditRows.find({ userId: 'u', clientId: 'c', since: 1 }, 9)), [2])
    t.same(seqs(await auditRows.find({ event: 'login.failed' }, 9)), [1])
    t.same(await auditRows.find({ userId: 'nobody' }, 9), [])
    for (const [i, row] of (await auditRows.find({}, 9)).entries())
      t.same(seqs(await auditRows.find({ before: row }, 9)), [4, 3, 5, 2, 1].slice(i + 1), 'after each row')
  },
}
