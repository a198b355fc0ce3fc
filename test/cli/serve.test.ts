/** `keyturn serve` in this process: what it checks and says before it serves. */
import t from 'tap'
import { startedCli } from '../support/processes/cli.ts'

const stopSignal = async () => 'SIGTERM'

t.test('a start says once which variables of a Kubernetes service it ignores', async (t) => {
  const cli = await startedCli(t)
  const settings = { PORT: '0', SERVICE_HOST: '10.96.0.7', PORT_80_TCP: 'tcp://10.96.0.7:80' }
  t.equal((await cli.run(['serve'], { settings, stopSignal })).code, 0)
  const ignored = () => cli.logger.lines.filter(({ message = '' }) => message.startsWith('ignored variables'))
  t.match(ignored(), [{ fields: { variables: ['KEYTURN_SERVICE_HOST', 'KEYTURN_PORT_80_TCP'] } }])
  await cli.json(['nodes'], { settings })
  await cli.run(['serve'], { settings: { PORT: '0' }, stopSignal })
  t.equal(ignored().length, 1, 'commands, and starts without them, say nothing')
})
