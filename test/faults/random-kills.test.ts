import t, { type Test } from 'tap'
import { randomKills } from '../support/processes/random-kills.ts'

t.test('killed at random moments under refreshes, machines and rotations (docs/security.md Q1)', (t) =>
  randomKills(t as Test, 4),
)
