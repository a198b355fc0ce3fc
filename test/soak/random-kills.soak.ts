import t, { type Test } from 'tap'
import { randomKills } from '../support/processes/random-kills.ts'

t.test(
  'fifty kills at random moments under refreshes, machine clients and rotations lose nothing acknowledged (docs/security.md Q1)',
  (t) => randomKills(t as Test, 50),
)
