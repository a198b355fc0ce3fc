import { runRemotely } from '../../support/processes/remote-commands.ts'

await runRemotely(() => import('../sessions.test.ts'))
