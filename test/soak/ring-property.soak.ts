import t, { type Test } from 'tap'
import { ringProperty } from '../unit/ring-property.ts'

t.test('the key ring is right at every instant of more schedules than `npm test` tries', (t) =>
  ringProperty(t as Test, { seed: 20_260_801, numRuns: 150 }),
)
