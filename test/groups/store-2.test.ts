import t from 'tap'
import { runGroup } from '../support/processes/test-group.ts'

await runGroup(t, 'test/store/*.test.ts', 1, 2)
