import { runRemotely } from '../../support/processes/remote-commands.ts'

await runRemotely(() => import('../two-administrators.test.ts'))
