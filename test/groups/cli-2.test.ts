import t from 'tap'
import { runGroup } from '../support/processes/test-group.ts'

await runGroup(t, 'test/cli/*.test.ts', 1, 3)
