import t from 'tap'
import {
  ACTOR_BUDGET,
  AGGREGATED_EVENTS,
  type Aggregation,
  createAggregation,
} from '../../src/audit/aggregation.ts'
import type { AuditEvent, AuditFields } from '../../src/audit/events.ts'

const NOW = 1_000_000

interface Traffic {
  written: number
  events: number
}

/** Sends `times` events; their fields may differ. */
function send(
  aggregation: Aggregation,
  event: AuditEvent,
  times: number,
  now: number,
  fields: (i: number) => AuditFields = () => ({}),
): Traffic {
  let written = 0
  for (let i = 0; i < times; i += 1) if (aggregation.admit(event, fields(i), now)) written += 1
  return { written, events: times }
}

const counted = (rows: readonly { count: number }[]) => rows.reduce((sum, { count }) => sum + count, 0)

t.test('actions of operators and of the server are never aggregated', async (t) => {
  const aggregation = createAggregation()
  for (const event of [
    'login.succeeded',
    'keys.rotated',
    'token.reuse_detected',
    'client_session.revoked',
  ] as const) {
    t.notOk(AGGREGATED_EVENTS.has(event))
    t.same(send(aggregation, event, 5000, NOW), { written: 5000, events: 5000 })
    const byOperator = () => ({ actor: 'operator:root' })
    t.same(send(aggregation, event, 5000, NOW, byOperator), { written: 5000, events: 5000 })
  }
  t.same(aggregation.take(NOW, true), [])
})

t.test(
  'the first twenty events of a kind are rows, then one row in five minutes, and the rest is counted',
  async (t) => {
    const aggregation = createAggregation()
    const fields = { client_id: 'shop', grant_type: 'client_credentials', sub: 'shop', jti: 'x', ip: '::1' }
    t.equal(send(aggregation, 'token.issued', 1000, NOW, () => fields).written, 20)
    t.equal(send(aggregation, 'token.issued', 1, NOW + 59, () => fields).written, 0)
    t.same(aggregation.take(NOW + 59, false), [], 'the minute has not ended')
    t.same(aggregation.take(NOW + 60, false), [
      {
        event: 'token.issued',
        fields: { client_id: 'shop', grant_type: 'client_credentials' },
        since: NOW,
        at: NOW + 59,
        count: 981,
      },
    ])
    t.equal(send(aggregation, 'token.issued', 5, NOW + 300, () => fields).written, 1)
    t.equal(send(aggregation, 'token.issued', 5, NOW + 600, () => fields).written, 1)
    t.equal(counted(aggregation.take(NOW + 600, true)), 8)
    t.equal(
      send(aggregation, 'token.issued', 50, NOW + 100_000, () => fields).written,
      20,
      'after a while the full budget again',
    )
  },
)

t.test('no value that a sender controls creates a kind of its own (docs/security.md Q20)', async (t) => {
  const aggregation = createAggregation()
  const vary = (i: number): AuditFields => ({
    ip: `10.0.${i >> 8}.${i & 255}`,
    request_id: `${i}`,
    sub: `u${i}`,
    sid: `s${i}`,
    jti: `j${i}`,
    actor: `user:${i}`,
    target: `t${i}`,
    scope: `s${i}`,
    kid: `k${i}`,
  })
  for (const event of AGGREGATED_EVENTS) {
    const { written } = send(aggregation, event, 1000, NOW, vary)
    t.equal(written, 20, event)
  }
  const rows = aggregation.take(NOW, true)
  t.equal(rows.length, AGGREGATED_EVENTS.size)
  t.ok(rows.every(({ fields }) => Object.keys(fields).length === 0))
})

t.test(
  'a flood of every kind produces a bounded number of rows and counts every event once (docs/security.md Q20)',
  async (t) => {
    const aggregation = createAggregation()
    let rows = 0
    let events = 0
    let countedEvents = 0
    const MINUTES = 60
    for (let minute = 0; minute < MINUTES; minute += 1) {
      const now = NOW + minute * 60
      for (const event of AGGREGATED_EVENTS) {
        const { written } = send(aggregation, event, 500, now, (i) => ({
          client_id: `c${i % 300}`,
          reason: `r${i % 7}`,
        }))
        rows += written
        countedEvents += written
        events += 500
      }
      const aggregatedRows = aggregation.take(now, true)
      rows += aggregatedRows.length
      countedEvents += counted(aggregatedRows)
      t.ok(
        aggregatedRows.length <= 64 + AGGREGATED_EVENTS.size,
        `${aggregatedRows.length} aggregated rows in a minute`,
      )
    }
    t.equal(countedEvents, events)
    // 500 at once and one every two seconds, plus the aggregated rows.
    t.ok(
      rows <= 500 + (MINUTES * 60) / 2 + MINUTES * (64 + AGGREGATED_EVENTS.size),
      `${rows} rows of ${events} events`,
    )
  },
)

t.test('a new kind is counted under its own name when others have used up the row budget', async (t) => {
  const aggregation = createAggregation()
  send(aggregation, 'token.refused', 30_000, NOW, (i) => ({
    client_id: `c${i % 30}`,
    reason: 'invalid_grant',
  }))
  aggregation.take(NOW, true)
  t.equal(aggregation.admit('token.issued', { client_id: 'rare' }, NOW), false)
  t.same(aggregation.take(NOW, true), [
    { event: 'token.issued', fields: { client_id: 'rare' }, since: NOW, at: NOW, count: 1 },
  ])
})

t.test('a clock that is set back delays no row', async (t) => {
  const aggregation = createAggregation()
  send(aggregation, 'login.failed', 30, NOW)
  t.equal(counted(aggregation.take(NOW - 500, false)), 10)
})

t.test(
  'what one user or client repeats shares a row after a thousand rows, and no event is lost (docs/security.md Q22)',
  async (t) => {
    const aggregation = createAggregation()
    const { burst } = ACTOR_BUDGET
    const alice = (i: number) => ({ actor: 'user:alice', sid: `s${i}` })
    t.same(send(aggregation, 'token.revoked', 5000, NOW, alice), { written: burst, events: 5000 })
    t.same(
      send(aggregation, 'token.revoked', 10, NOW, () => ({ actor: 'user:bob' })).written,
      10,
      'others have their own',
    )
    t.same(send(aggregation, 'login.succeeded', 10, NOW, alice).written, 10, 'and so have other events')
    const rows = aggregation.take(NOW, true)
    t.equal(counted(rows), 5000 - burst)
    t.match(rows, [{ event: 'token.revoked', fields: { actor: 'user:alice' } }])
  },
)
