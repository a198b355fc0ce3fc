import t from 'tap'
import { rotateRing } from '../../src/keys/rotate.ts'
import { node } from '../contracts/nodes.ts'
import { type Cli, startedCli } from '../support/processes/cli.ts'
import { countQueries } from '../support/server/query-count.ts'
import { type TestServer, testServer } from '../support/server/server.ts'

const DAY = 86_400

interface ListedNode {
  readonly id: string
  readonly hostname: string
  readonly pid: number
  readonly version: string
  readonly ring_version: number
  readonly state: string
  readonly behind: boolean
}

const list = (cli: Cli) => cli.json<ListedNode[]>(['nodes'])

/** Starts a server on the store and the clock of the commands, and sends its first heartbeat. */
async function serving(
  t: { teardown(work: () => Promise<void>): void },
  cli: Cli,
  pid: number,
  settings: Record<string, string> = {},
): Promise<TestServer> {
  const server = await testServer({
    clock: cli.clock,
    database: cli.database,
    nodeInfo: { hostname: 'east', pid },
    settings: { KEYS_DIR: cli.keysDir, ISSUER: 'http://localhost:3000', ...settings },
    masterKey: '',
  })
  t.teardown(() => server.close())
  await server.deps.jobs.heartbeat()
  return server
}

t.test('a node is listed while it serves, and not after a clean stop', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['keys', 'list'])
  t.same(await list(cli), [])
  t.equal((await cli.run(['nodes'])).out, 'none\n')
  const server = await serving(t, cli, 17)
  await serving(t, cli, 18)
  t.match(await list(cli), [
    { hostname: 'east', state: 'serving', ring_version: 1, behind: false, version: /^\d+\.\d+\.\d+/ },
    { hostname: 'east', state: 'serving' },
  ])
  t.same(new Set((await list(cli)).map(({ pid }) => pid)), new Set([17, 18]))
  t.match((await cli.run(['nodes'])).out, /^HOST +PID +VERSION +RING .*\neast +1[78] +\d\S+ +1 .* serving\n/)
  await server.deps.jobs.stop()
  t.match(await list(cli), [{ pid: 18 }])
})

t.test('a node without a heartbeat is shown as gone after 30 seconds and deleted after a day', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['keys', 'list'])
  const server = await serving(t, cli, 17)
  await server.store.nodes.record(node({ id: 'killed', seenAt: cli.clock.now() }))
  const stateOf = async (id: string) => (await list(cli)).find((one) => one.id === id)?.state
  cli.clock.tick(29)
  t.equal(await stateOf('killed'), 'serving')
  cli.clock.tick(1)
  t.equal(await stateOf('killed'), 'gone')
  cli.clock.tick(DAY - 30)
  await server.deps.jobs.heartbeat()
  await server.deps.jobs.prune()
  t.equal(await stateOf('killed'), 'gone')
  cli.clock.tick(1)
  await server.deps.jobs.prune()
  t.equal(await stateOf('killed'), undefined)
  t.match(await list(cli), [{ pid: 17, state: 'serving' }])
})

t.test('a heartbeat is one write every five seconds, plus one when the key ring changes', async (t) => {
  const server = await testServer()
  t.teardown(() => server.close())
  const { count } = countQueries(server.store)
  const writesOf = async (work: () => unknown) => {
    await work()
    const before = count()
    for (let i = 0; i < 20; i += 1) await server.deps.jobs.heartbeat()
    return count() - before
  }
  t.equal(await writesOf(() => {}), 1, 'at the start')
  t.equal(await writesOf(() => {}), 0)
  t.equal(await writesOf(() => server.clock.tick(4)), 0)
  t.equal(await writesOf(() => server.clock.tick(1)), 1)
  t.equal(
    await writesOf(() => server.clock.tick(-3600)),
    1,
    'a clock that is set back does not stop the heartbeats',
  )
  const rotated = async () => {
    await rotateRing(server.deps.keys, { actor: 'operator:test', force: true })
    await server.deps.jobs.poll()
  }
  t.equal(await writesOf(rotated), 1)
})

t.test(
  'expecting a verifier that was never seen prints a note, because the name may be mistyped',
  async (t) => {
    const cli = await startedCli(t)
    const verifier = { instance: 'a', ringVersion: 1, seenAt: cli.clock.now() }
    await cli.withStore(({ verifiers }) => verifiers.record([{ name: 'orders', ...verifier }]))
    t.match(await cli.run(['verifiers', 'expect', 'orders']), { code: 0, err: '' })
    const { code, out, err } = await cli.run(['verifiers', 'expect', 'ordres'])
    t.same([code, out], [0, 'rotations wait for ordres\n'])
    t.match(
      err,
      /^note: no verifier named ordres has fetched .*, and rotations do not wait for it before one does; .*: npx keyturn verifiers forget ordres\n$/,
    )
  },
)

interface Rotated {
  readonly nodes: number
  readonly nodes_behind: readonly ListedNode[]
}

t.test('keys rotate reports that all nodes have switched', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['keys', 'list'])
  const servers = [await serving(t, cli, 17), await serving(t, cli, 18)]
  // A running server does this about four times per second.
  const timer = setInterval(async () => {
    for (const { deps } of servers) {
      await deps.jobs.poll()
      await deps.jobs.heartbeat()
    }
  }, 20)
  t.teardown(() => clearInterval(timer))
  t.match(await cli.json<Rotated>(['keys', 'rotate']), { nodes: 2, nodes_behind: [] })
  t.match((await cli.run(['keys', 'rotate', '--force'])).out, /\nnodes {5}all 2 have switched\n$/)
  clearInterval(timer)
})

t.test(
  'keys rotate names nodes that have not switched and does not wait for nodes that are gone',
  async (t) => {
    const cli = await startedCli(t)
    await cli.json(['keys', 'list'])
    const now = cli.clock.now()
    await cli.withStore(async ({ nodes }) => {
      await nodes.record(node({ id: 'frozen', hostname: 'west', pid: 5, ringVersion: 1, seenAt: now }))
      await nodes.record(node({ id: 'gone', ringVersion: 1, seenAt: now - 30 }))
      await nodes.record(node({ id: 'good', ringVersion: 99, seenAt: now }))
    })
    const { out } = await cli.run(['keys', 'rotate'])
    t.match(out, /\nnodes {5}1 of 2 have switched; not yet: west:5\n/)
    t.match((await cli.run(['nodes'])).out, /west +5 .* 1 \(current: 2\) /)
    const listed = await list(cli)
    t.match(
      listed.find(({ id }) => id === 'frozen'),
      { behind: true, state: 'serving' },
    )

    await cli.withStore(({ nodes }) => nodes.remove('frozen'))
    cli.clock.tick(30)
    const withoutNodes = await cli.run(['keys', 'rotate', '--force'])
    t.notMatch(withoutNodes.out, 'nodes', 'no node is serving, so there is nothing to report')
    t.match(await cli.json<Rotated>(['keys', 'rotate', '--force']), { nodes: 0, nodes_behind: [] })
  },
)

t.test(
  'commands compute with the settings of the servers and not of their own shell, and say so',
  async (t) => {
    const cli = await startedCli(t)
    const status = async (settings = {}) => {
      const { out, err } = await cli.run(['keys', 'status', '--json'], { settings })
      return { ...(JSON.parse(out) as { safe_from: number; next_automatic: number | null }), err }
    }
    // The first rotation is always safe, so a second next key is needed.
    await cli.json(['keys', 'rotate'])
    const now = cli.clock.now()
    const alone = await status({ VERIFIER_CACHE: '1s', KEY_ROTATION: 'off' })
    t.match(alone, { safe_from: now + 1, next_automatic: null, err: '' })

    const server = await serving(t, cli, 17, { VERIFIER_CACHE: '12h' })
    await serving(t, cli, 18, { VERIFIER_CACHE: '12h' })
    const { safe_from, next_automatic, err } = await status({ VERIFIER_CACHE: '1s', KEY_ROTATION: 'off' })
    t.same([safe_from, next_automatic], [now + 12 * 3600, now + 30 * DAY])
    // A remote command has no settings of its own.
    if (cli.remote) return
    t.equal(
      err,
      'note: the servers’ settings apply and not those of this command: KEYTURN_VERIFIER_CACHE is 12h there and 1s here; KEYTURN_KEY_ROTATION is 30d there and off here\n',
    )
    t.equal((await status({ VERIFIER_CACHE: '12h' })).err, '', 'equal settings need no note')
    t.equal(
      (await cli.run(['keys', 'rotate'], { settings: { VERIFIER_CACHE: '1s' } })).code,
      1,
      'it is not safe',
    )

    const stillRefused = await cli.run(['users', 'create', 'bob', '--password-stdin'], {
      input: 'fourteen chars',
      settings: { MIN_PASSWORD_LENGTH: '15' },
    })
    t.same([stillRefused.code, stillRefused.err], [0, ''], 'the servers accept such passwords')

    await server.deps.jobs.stop()
    cli.clock.tick(30)
    t.equal((await status({ VERIFIER_CACHE: '1s' })).safe_from, now + 1, 'nodes that are gone do not count')
  },
)

t.test('doctor and nodes say where settings differ', async (t) => {
  const cli = await startedCli(t)
  await serving(t, cli, 17)
  const finding = async (settings = {}) => {
    const { out } = await cli.run(['doctor', '--json'], { settings })
    const findings = JSON.parse(out) as { check: string; ok: boolean; message: string }[]
    return findings.find(({ check }) => check === 'node settings')
  }
  t.match(await finding(), { ok: true })
  t.match(await finding({ STATUS_TTL: '1m' }), {
    ok: false,
    message: /^KEYTURN_STATUS_TTL is 10s there and 1m here: run commands with the settings of the servers$/,
  })
  const listed = await cli.run(['nodes'], { settings: { STATUS_TTL: '1m' } })
  if (!cli.remote) t.match(listed.err, 'STATUS_TTL is 10s there and 1m here')

  // Nodes are listed in the order of their start.
  cli.clock.tick(1)
  await serving(t, cli, 18, { ACCESS_TOKEN_TTL: '5m' })
  const different = 'KEYTURN_ACCESS_TOKEN_TTL is 10m at east:17 and 5m at east:18'
  t.match(await finding(), { ok: false, message: `${different}: give all nodes the same settings` })
  t.match((await cli.run(['nodes'])).err, `note: ${different}\n`)
  t.match(await list(cli), [{ settings: { access_token_ttl: 600 } }, { settings: { access_token_ttl: 300 } }])
})
