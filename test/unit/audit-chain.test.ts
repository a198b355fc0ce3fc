import t from 'tap'
import {
  type AuditEntry,
  type AuditKeys,
  createRow,
  hashRow,
  signatureOf,
  signHead,
} from '../../src/audit/chain.ts'
import type { AuditFields } from '../../src/audit/events.ts'
import { digestOf, fieldsOf } from '../../src/audit/personal.ts'
import { createAuditKeys } from '../../src/keys/audit-keys.ts'
import { createDataKey } from '../../src/keys/data-keys.ts'
import type { AuditHead } from '../../src/store/contracts/audit.ts'

const happened = (overrides: Partial<AuditEntry> = {}): AuditEntry => ({
  event: 'token.issued',
  fields: {
    actor: 'client:shop',
    sub: 'shop',
    client_id: 'shop',
    ip: '::1',
    grant_type: 'client_credentials',
  },
  since: 100,
  at: 100,
  count: 1,
  ...overrides,
})

const SALT = Buffer.alloc(16, 1).toString('base64url')
/** The same salt for every value. */
const FIXED = { bytes: (count: number) => Buffer.alloc(count, 1) }

/** Newest data key first; its number is what its bytes are filled with. */
const keys = (...numbers: number[]): AuditKeys =>
  createAuditKeys(
    numbers.map((number) => createDataKey(number, Buffer.alloc(32, number))),
    [1],
  )

t.test(
  'a row has columns for its searchable fields, the rest as sorted JSON, and the next number',
  async (t) => {
    const row = createRow({ seq: 6, hash: 'before' }, happened(), FIXED)
    t.match(row, {
      seq: 7,
      since: 100,
      at: 100,
      event: 'token.issued',
      actor: 'client:shop',
      sub: 'shop',
      clientId: 'shop',
      fields: `{"grant_type":"client_credentials","ip_digest":"${digestOf(`${SALT}.::1`)}"}`,
      ip: `${SALT}.::1`,
      target: null,
      count: 1,
    })
    const { fields } = happened()
    const other: AuditFields = { ...Object.fromEntries(Object.entries(fields).reverse()) }
    Object.assign(other, { sid: undefined })
    t.same(
      createRow({ seq: 6, hash: 'before' }, happened({ fields: other }), FIXED),
      row,
      'whatever the order',
    )
  },
)

t.test(
  'address and target are kept apart, and the row has the digest of each with a random salt',
  async (t) => {
    const fields = { actor: 'operator:root', sub: 'u', target: 'alice', ip: '::1', action: 'created' }
    const row = createRow({ seq: 1, hash: '' }, happened({ event: 'user.changed', fields }), FIXED)
    t.same([row.ip, row.target], [`${SALT}.::1`, `${SALT}.alice`])
    t.notMatch(row.fields, /alice|::1/)
    t.same(fieldsOf(row), { action: 'created', ip: '::1', target: 'alice' })
    const erased = { ...row, ip: null, target: null }
    t.equal(hashRow('', erased), row.hash, 'the chain does not need the values')
    t.strictSame(fieldsOf(erased), { action: 'created' })
    t.same(fieldsOf({ ...row, fields: 'x' }), { unreadable: 'x' })
    const other = createRow(
      { seq: 1, hash: '' },
      happened({ fields: { target: 'web', client_id: 'web' } }),
      FIXED,
    )
    t.same([other.target, fieldsOf(other).target], [null, 'web'], 'a target that is no user stays in the row')
  },
)

t.test('the hash covers every field of a row and the previous row', async (t) => {
  const row = createRow({ seq: 1, hash: 'before' }, happened(), FIXED)
  t.match(row.hash, /^[\w-]{43}$/)
  t.equal(hashRow('before', row), row.hash)
  const changes = {
    seq: 3,
    since: 99,
    at: 101,
    event: 'token.refused',
    actor: 'client:other',
    sub: null,
    clientId: 'other',
    fields: '{}',
    count: 2,
  }
  for (const [name, value] of Object.entries(changes))
    t.not(hashRow('before', { ...row, [name]: value }), row.hash, name)
  t.not(hashRow('other', row), row.hash)
  t.not(
    hashRow('before', { ...row, actor: 'shop', sub: 'client:shop' }),
    row.hash,
    'columns are not confused',
  )
})

t.test('values that an engine could not store read back as they were hashed', async (t) => {
  const row = createRow(
    { seq: 0, hash: '' },
    happened({ fields: { actor: 'operator:\ud800', target: 'a\0b' } }),
    FIXED,
  )
  t.equal(row.actor, 'operator:\ufffd')
  t.notMatch(row.fields, /\0/)
  t.equal(hashRow('', row), row.hash)
})

t.test('the signature covers the whole head and needs the data key that it names', async (t) => {
  const plain = { seq: 9, hash: 'h', baseSeq: 3, baseHash: 'b', acceptedAt: 0 }
  const head = signHead(keys(1), plain)
  t.same(signatureOf(keys(1), head), { by: 'newest' })
  t.same(
    signatureOf(keys(2, 1), head),
    { by: 'older', dataKey: 1, invalidated: true },
    'an invalidated data key is told from a forgery',
  )
  t.same(signatureOf(keys(3, 2), signHead(keys(2), plain)), { by: 'older', dataKey: 2, invalidated: false })
  t.same(signatureOf(keys(2), head), { by: 'unknown' })
  const renamed = { ...head, mac: (head.mac ?? '').replace('v1.1.', 'v1.2.') }
  t.same(signatureOf(keys(2, 1), renamed), { by: 'unknown' }, 'with the name of another data key')
  t.same(signatureOf(keys(1), renamed), { by: 'unknown' }, 'with the name of an unknown data key')
  const changes: Partial<AuditHead>[] = [
    { seq: 8 },
    { hash: 'x' },
    { baseSeq: 4 },
    { baseHash: 'x' },
    { acceptedAt: 1 },
    { mac: null },
    { mac: 'none' },
    { mac: '' },
  ]
  for (const change of changes)
    t.same(signatureOf(keys(1), { ...head, ...change }), { by: 'unknown' }, JSON.stringify(change))
})
