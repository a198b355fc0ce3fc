/** Several algorithms in one ring, as commands show and change them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { KeyRingView, LanesView, SimulationView } from '../../src/admin/keys.schema.ts'
import { type Cli, startedCli, testCli } from '../support/processes/cli.ts'

const DAY = 86_400
const API = ['apis', 'create', 'https://orders.test', '--scope', 'orders:read']
const lanes = (cli: Cli, ...args: string[]) => cli.json<LanesView>(['keys', 'lanes', ...args])
const names = (ring: Pick<LanesView, 'lanes'>) => ring.lanes.map(({ alg }) => alg)

async function withLanes(t: Test, algorithms: string): Promise<Cli> {
  const cli = testCli(t)
  await cli.start({ ALGORITHMS: algorithms })
  return cli
}

t.test('KEYTURN_ALGORITHMS chooses the lanes of a new ring, and nothing in an existing one', async (t) => {
  const cli = await withLanes(t, 'ES256 Ed25519')
  const shown = await lanes(cli)
  t.match(shown, { default: 'ES256', retiring: [] })
  t.same(names(shown), ['ES256', 'EdDSA'])
  t.equal(shown.active, shown.lanes[0]?.active)
  t.equal(shown.next, shown.lanes[0]?.next)
  const other = await cli.json<LanesView>(['keys', 'lanes'], { settings: { ALGORITHMS: 'RS256' } })
  t.same(other, shown)
  const { out } = await cli.run(['keys', 'lanes'])
  t.match(out, /^LANE +ACTIVE/)
  t.match(out, /^ES256 \(default\) +[\w-]{43} +[\w-]{43} +now +now/m)
})

t.test('an export has the keys of all lanes, and metadata that names their algorithms', async (t) => {
  const cli = await withLanes(t, 'ES256 Ed25519')
  const folder = join(cli.dir, 'public')
  await cli.json(['export', folder])
  const exported = (path: string) => JSON.parse(readFileSync(join(folder, '.well-known', path), 'utf8'))
  const { keys } = exported('jwks.json') as { keys: { alg: string }[] }
  t.same(keys.map(({ alg }) => alg).sort(), ['ES256', 'ES256', 'EdDSA', 'EdDSA'])
  t.same(exported('openid-configuration').id_token_signing_alg_values_supported, ['ES256', 'EdDSA'])
})

t.test('a lane is added, becomes the default when it is safe, and the old one is removed', async (t) => {
  const cli = await startedCli(t)
  const before = await lanes(cli)
  const added = await lanes(cli, 'add', 'ES256')
  t.same(names(added), ['RS256', 'ES256'])
  t.same([added.default, added.active], ['RS256', before.active])
  t.match(cli.logger.audits('keys.lane_added'), [{ actor: 'operator:tester', target: 'ES256' }])
  const again = await cli.run(['keys', 'lanes', 'add', 'ES256'])
  t.match(again, { code: 1, err: /already has a lane ES256/ })

  const safeFrom = cli.clock.now() + DAY
  cli.clock.tick(100)
  const refused = await cli.run(['keys', 'lanes', 'default', 'ES256', '--json'])
  t.equal(refused.code, 1)
  t.match(refused.json(), {
    error: /not safe to sign with ES256: before .* \(in 23h 58m/,
    safe_from: safeFrom,
    behind: [],
  })
  t.equal((await lanes(cli)).default, 'RS256')

  cli.clock.set(safeFrom)
  const changed = await lanes(cli, 'default', 'ES256')
  t.match(changed, { default: 'ES256', active: added.lanes[1]?.active })
  t.same(names(changed), ['ES256', 'RS256'])
  const inUse = await cli.run(['keys', 'lanes', 'remove', 'ES256'])
  t.match(inUse, { code: 1, err: /ES256 is in use: it is the default lane/ })
  t.same(names(await lanes(cli, 'remove', 'RS256')), ['ES256'])
  const listed = await cli.json<{ kid: string; state: string }[]>(['keys', 'list'])
  t.equal(listed.find(({ kid }) => kid === before.active)?.state, 'retiring')
  t.equal(listed.find(({ kid }) => kid === before.next)?.state, 'retired')
})

t.test('verifiers that lack the key of a lane are named', async (t) => {
  const cli = await startedCli(t)
  await cli.run(['verifiers', 'expect', 'orders'])
  await lanes(cli, 'add', 'ES256')
  cli.clock.tick(2 * DAY)
  await cli.withStore((store) =>
    store.verifiers.record([{ name: 'orders', instance: '1', ringVersion: 1, seenAt: cli.clock.now() }]),
  )
  const refused = await cli.run(['keys', 'lanes', 'default', 'ES256', '--json'])
  t.match(refused.json(), { error: /orders has not fetched its key yet/, behind: ['orders'] })
})

t.test(
  'an API or a client that uses a lane is named, and the lane stays (docs/security.md Y2)',
  async (t) => {
    const cli = await withLanes(t, 'RS256 ES256')
    await cli.json([...API, '--signing-alg', 'ES256'])
    await cli.json([
      ...['clients', 'create', '--id', 'web', '--name', 'web', '--grant', 'authorization_code'],
      ...['--redirect-uri', 'https://web.test/back', '--id-token-signing-alg', 'ES256'],
    ])
    const refused = await cli.run(['keys', 'lanes', 'remove', 'ES256', '--json'])
    t.equal(refused.code, 1)
    t.match(refused.json(), {
      error: /https:\/\/orders.test.*web/,
      apis: ['https://orders.test'],
      clients: ['web'],
    })
    await cli.json(['apis', 'update', 'https://orders.test', '--no-signing-alg'])
    await cli.json(['clients', 'update', 'web', '--no-id-token-signing-alg'])
    t.same(names(await lanes(cli, 'remove', 'ES256')), ['RS256'])
  },
)

t.test(
  'the algorithm of an API is refused with the time from which it is safe (docs/security.md Y1)',
  async (t) => {
    const cli = await startedCli(t)
    const unknown = await cli.run([...API, '--signing-alg', 'ES256'])
    t.match(unknown, { code: 1, err: /no lane ES256: run .*keys lanes add ES256/ })
    await lanes(cli, 'add', 'ES256')
    const refused = await cli.run([...API, '--signing-alg', 'ES256', '--json'])
    t.equal(refused.code, 1)
    t.match(refused.json(), { safe_from: cli.clock.now() + DAY, behind: [] })
    cli.clock.tick(DAY)
    t.match(await cli.json([...API, '--signing-alg', 'ES256']), { signing_alg: 'ES256' })
  },
)

t.test('keys rotate --lane rotates one lane, and keys rotate all or none', async (t) => {
  const cli = await withLanes(t, 'RS256 ES256')
  const before = await lanes(cli)
  const one = await cli.json<LanesView>(['keys', 'rotate', '--lane', 'ES256'])
  t.same([one.active, one.next, one.retiring], [before.active, before.next, []])
  t.match(one.lanes[1], { alg: 'ES256', active: before.lanes[1]?.next, retiring: [before.lanes[1]?.active] })
  const refused = await cli.run(['keys', 'rotate', '--json'])
  t.match(refused.json(), { error: /not safe to rotate/, safe_from: cli.clock.now() + DAY })
  t.same((await lanes(cli)).active, before.active)
  t.match(await cli.json(['keys', 'status']), { safe: false, lanes: [{ safe: true }, { safe: false }] })
  const { out } = await cli.run(['keys', 'status'])
  t.match(out, /^lane +RS256, safe to rotate$/m)
  t.match(out, /^lane +ES256, not safe to rotate before/m)
  const all = await cli.json<LanesView>(['keys', 'rotate', '--force'])
  t.equal(all.active, before.next)
  t.equal(all.lanes[1]?.active, one.lanes[1]?.next)
  const text = (await cli.run(['keys', 'rotate', '--force'])).out
  t.match(text, /^lane +RS256\nactive .*\nnext .*\nretiring .*\nlane +ES256\nactive/)
  const missing = await cli.run(['keys', 'rotate', '--lane', 'PS256'])
  t.match(missing, { code: 1, err: /no lane PS256/ })
})

t.test('keys simulate and keys timeline show the lanes', async (t) => {
  const cli = await withLanes(t, 'RS256 ES256')
  const ring = await lanes(cli)
  const { moments } = await cli.json<SimulationView>(['keys', 'simulate', '--rotate', '--lane', 'ES256'])
  t.match(moments[1], { event: 'rotated', kid: ring.lanes[1]?.next, active: ring.active })
  t.match((await cli.run(['keys', 'simulate'])).out, /now: \S+… and \S+… sign /)
  t.match((await cli.run(['keys', 'timeline'])).out, /^ES256\n(.*\n){2}RS256\n/)
  t.match(await cli.run(['keys', 'simulate', '--lane', 'ES256']), { code: 2, err: /--lane needs --rotate/ })
  t.match(await cli.run(['keys', 'simulate', '--rotate', '--lane', 'PS256']), {
    code: 1,
    err: /no lane PS256/,
  })
})

t.test('a ring with one lane looks as it always did', async (t) => {
  const cli = await startedCli(t)
  t.match(
    (await cli.run(['keys', 'rotate'])).out,
    /^active {4}[\w-]{43}\nnext {6}[\w-]{43}\nretiring {2}[\w-]{43}\n$/,
  )
  t.match((await cli.run(['keys', 'status'])).out, /\nactive {2}[\w-]{43}\nnext {4}[\w-]{43}\n$/)
})

t.test('a wrong algorithm, or a size for one that has none, is refused', async (t) => {
  const cli = await startedCli(t)
  for (const alg of ['HS256', 'none', 'es256'])
    t.match(
      await cli.run(['keys', 'lanes', 'add', alg]),
      { code: 2, err: /must be one of RS256, PS256/ },
      alg,
    )
  t.match(await cli.run(['keys', 'lanes', 'add', 'ES256', '--bits', '3072']), { code: 2, err: /one size/ })
  t.match(await cli.run(['keys', 'lanes', 'default', 'ES256']), { code: 1, err: /no lane ES256/ })
  t.match(await cli.run(['keys', 'lanes', 'remove', 'ES256']), { code: 1, err: /no lane ES256/ })
  const ring = (await cli.json<KeyRingView['keys']>(['keys', 'list'])).length
  t.equal(ring, 2, 'nothing has changed')
  t.same(names(await lanes(cli, 'add', 'PS256', '--bits', '3072')), ['RS256', 'PS256'])
})
