import { runRemotely } from '../../support/processes/remote-commands.ts'

await runRemotely(() => import('../apis.test.ts'))
