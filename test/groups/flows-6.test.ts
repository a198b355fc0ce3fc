import t from 'tap'
import { runGroup } from '../support/processes/test-group.ts'

await runGroup(t, 'test/flows/*.test.ts', 5, 6)
