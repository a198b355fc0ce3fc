import { runRemotely } from '../../support/processes/remote-commands.ts'

await runRemotely(() => import('../apply.test.ts'))
