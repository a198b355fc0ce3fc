import { runRemotely } from '../../support/processes/remote-commands.ts'

await runRemotely(() => import('../keys-lanes.test.ts'))
