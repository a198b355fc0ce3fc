import t from 'tap'
import { parseMoment } from '../../src/admin/moment.ts'

const noon = Date.UTC(2026, 0, 31, 12) / 1000

t.test('a date and time is read in its zone, and in UTC if it has none (RFC 3339 §5.6)', async (t) => {
  for (const [text, at, hasZone] of [
    ['2026-01-31T12:00:00Z', noon, true],
    ['2026-01-31t12:00z', noon, true],
    ['2026-01-31 12:00', noon, false],
    ['2026-01-31', noon - 12 * 3600, false],
    ['2026-01-31T14:00:00+02:00', noon, true],
    ['2026-01-31T06:30:00-05:30', noon, true],
    ['2026-01-31T06:30-0530', noon, true],
    ['2026-01-31T11:59:59.5Z', noon, true],
    ['2024-02-29', Date.UTC(2024, 1, 29) / 1000, false],
  ] as const) {
    t.same(parseMoment(text), { at, hasZone }, text)
  }
})

t.test('a moment that does not exist is refused, and so is other text', async (t) => {
  for (const text of [
    '2026-02-29',
    '2026-02-30',
    '2026-13-01',
    '2026-00-10',
    '2026-01-00',
    '2026-01-31T24:00',
    '2026-01-31T12:60',
    '2026-01-31T12:00:60Z',
    '2026-01-31T12:00+24:00',
    '2026-01-31T12:00+01:60',
    '31.1.2026',
    'yesterday',
    '',
  ]) {
    t.equal(parseMoment(text), null, text)
  }
})
