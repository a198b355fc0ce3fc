/** `keyturn serve` in this process: what it checks and says before it serves. */
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import t from 'tap'
import type { GenerateKey } from '../../src/keys/algorithms.ts'
import type { ServingNode } from '../../src/store/contracts/nodes.ts'
import { node } from '../contracts/nodes.ts'
import { startedCli, testCli } from '../support/processes/cli.ts'
import { cachedKeys } from '../support/server/cached-keys.ts'

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

t.test('a second node with another issuer does not start, and one with other settings says so', async (t) => {
  const cli = await startedCli(t)
  const issuer = 'https://a.example'
  const settings = { issuer, default_audience: issuer, verifier_cache: 60 }
  const record = (other: Partial<ServingNode>) =>
    cli.withStore(({ nodes }) => nodes.record(node({ settings, seenAt: cli.clock.now(), ...other })))
  const listed = async () => (await cli.json<{ id: string }[]>(['nodes'])).map(({ id }) => id)
  const start = (ISSUER: string, isRunning = () => true) =>
    cli.run(['serve'], { settings: { PORT: '0', ISSUER }, stopSignal, isRunning })

  await record({ id: 'other', hostname: 'west', pid: 5 })
  const refused = await start('https://b.example')
  t.equal(refused.code, 1)
  t.match(
    refused.err,
    /west:5 serves this store with the issuer https:\/\/a\.example, and this node would serve https:\/\/b\.example: set KEYTURN_ISSUER/,
  )
  t.same(await listed(), ['other'], 'the node that was refused is not listed')

  t.equal((await start(issuer)).code, 0)
  t.match(
    cli.logger.lines.filter(({ message = '' }) => message.includes('other settings')),
    [
      {
        level: 'warn',
        fields: {
          node: 'west:5',
          settings: [{ variable: 'KEYTURN_VERIFIER_CACHE', here: '1d', there: '1m' }],
        },
      },
    ],
  )

  cli.clock.tick(30)
  t.equal((await start('https://b.example')).code, 0, 'a node that is gone does not count')
  await record({ id: 'killed', hostname: hostname(), pid: 5 })
  t.equal((await start('https://b.example')).code, 1, 'a node on the same machine counts')
  t.equal((await start('https://b.example', () => false)).code, 0, 'unless its process has ended')
  await cli.withStore(({ nodes }) => nodes.remove('killed'))
  await record({ id: 'predecessor', hostname: hostname(), pid: 4711 })
  t.equal((await start('https://b.example')).code, 0, 'or this process has its id')
})

t.test('a node whose port is taken is not listed as serving', async (t) => {
  const cli = await startedCli(t)
  // A program that does not respond would be waited for.
  const other = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as AddressInfo
  t.equal((await cli.run(['serve'], { settings: { PORT: String(port) }, stopSignal })).code, 1)
  t.same(await cli.json(['nodes']), [])
})

t.test(
  'a first start generates its keys before it opens the store, and every other start generates none',
  async (t) => {
    const cli = testCli(t)
    const start = async (...options: readonly string[]) => {
      const storeExisted: boolean[] = []
      const generateKey: GenerateKey = (...wanted) => {
        storeExisted.push(existsSync(cli.database))
        return cachedKeys(...wanted)
      }
      const io = { settings: { PORT: '0' }, stopSignal, generateKey }
      const { code } = await cli.run(['serve', ...options], io)
      return { code, storeExisted }
    }
    t.same(await start(), { code: 0, storeExisted: [false, false] })
    const keys = await cli.withStore((store) => store.ring.read())
    t.equal(keys?.keys.length, 2)
    t.same(await start(), { code: 0, storeExisted: [] })
    t.same(await start('--new'), { code: 1, storeExisted: [] }, 'the store is not new')
    t.same(await cli.withStore((store) => store.ring.read()), keys)

    rmSync(dirname(cli.database), { recursive: true })
    t.same(await start(), { code: 1, storeExisted: [] }, 'a missing database is refused')
    t.same(await start('--new'), { code: 0, storeExisted: [false, false] })
  },
)

t.test('keys that cannot be generated refuse a first start, and the next one succeeds', async (t) => {
  const cli = testCli(t)
  const io = { settings: { PORT: '0' }, stopSignal }
  const generateKey = () => Promise.reject(new Error('no randomness'))
  t.match(await cli.run(['serve'], { ...io, generateKey }), { code: 1, err: /no randomness/ })
  t.equal((await cli.run(['serve'], io)).code, 0)
  t.equal((await cli.withStore((store) => store.ring.read()))?.keys.length, 2)
})
