import { mock } from 'node:test'
import t from 'tap'
import type { Io } from '../../src/cli/io.ts'
import { withProgress } from '../../src/cli/progress.ts'
import { openTerminal } from '../../src/cli/terminal.ts'
import type { Ring } from '../../src/store/contracts/ring.ts'
import { type Cli, startedCli } from '../support/processes/cli.ts'

const DAY = 86_400

interface ListedKey {
  readonly kid: string
  readonly state: string
  readonly signs_from: number | null
  readonly leaves_at: number | null
}

interface Rotated {
  readonly active: string
  readonly next: string
  readonly retiring: string[]
}

const list = (cli: Cli) => cli.json<ListedKey[]>(['keys', 'list'])
const rotate = (cli: Cli, ...args: string[]) => cli.json<Rotated>(['keys', 'rotate', ...args])
const ringOf = (cli: Cli) => cli.withStore((store) => store.ring.read()) as Promise<Ring>

t.test('the first command creates the key ring with one active and one next key', async (t) => {
  const cli = await startedCli(t)
  const keys = await list(cli)
  const now = cli.clock.now()
  const common = { alg: 'RS256', created_at: now, published_at: now, leaves_at: null }
  t.match(
    keys.find(({ state }) => state === 'active'),
    { ...common, kid: /^[\w-]{43}$/, signs_from: now },
  )
  t.match(
    keys.find(({ state }) => state === 'next'),
    { ...common, signs_from: null },
  )
  t.equal(keys.length, 2)
  t.same(await list(cli), keys, 'the second command changes nothing')
  t.match(cli.logger.audits('keys.created'), [{ actor: 'keyturn' }])
})

t.test(
  'the first rotation is safe: the next key becomes active and a new next key is published',
  async (t) => {
    const cli = await startedCli(t)
    const before = await list(cli)
    const { active, next, retiring } = await rotate(cli)
    t.equal(active, before.find(({ state }) => state === 'next')?.kid)
    t.same(
      retiring,
      before.filter(({ state }) => state === 'active').map(({ kid }) => kid),
    )
    t.notOk(before.some(({ kid }) => kid === next))
    t.match(cli.logger.audits('keys.rotated'), [{ actor: 'operator:tester', kid: active }])
    const old = (await ringOf(cli)).keys.find(({ kid }) => kid === retiring[0])
    t.equal(old?.encryptedPrivateKey, null, 'the private key of the old key is deleted')
  },
)

t.test(
  'a second rotation is refused with the time from which it is safe, and then succeeds (docs/security.md Q10)',
  async (t) => {
    const cli = await startedCli(t)
    const first = await rotate(cli)
    cli.clock.tick(100)
    const refused = await cli.run(['keys', 'rotate', '--json'])
    t.equal(refused.code, 1)
    const safeFrom = cli.clock.now() - 100 + DAY
    t.match(refused.json(), { error: /not safe to rotate before/, safe_from: safeFrom, behind: [] })
    t.match(refused.err, /\(in 23h 58m\)/)
    t.match(await cli.json(['keys', 'status']), { safe: false, safe_from: safeFrom, active: first.active })
    t.match((await cli.run(['keys', 'status'])).out, 'It is not safe to rotate before')

    cli.clock.tick(DAY - 101)
    t.equal((await cli.run(['keys', 'rotate'])).code, 1, 'one second early')
    cli.clock.tick(1)
    t.match((await cli.run(['keys', 'status'])).out, 'It is safe to rotate now')
    t.equal((await rotate(cli)).active, first.next)
  },
)

t.test('--force rotates at once, and the audit trail records that it was forced', async (t) => {
  const cli = await startedCli(t)
  const first = await rotate(cli)
  const second = await rotate(cli, '--force')
  t.equal(second.active, first.next)
  t.match(cli.logger.audits('keys.rotated').at(-1), { actor: 'operator:tester', reason: 'forced' })
})

t.test('--wait and --force together are a usage error, and nothing is rotated', async (t) => {
  const cli = await startedCli(t)
  const before = await list(cli)
  t.match(await cli.run(['keys', 'rotate', '--wait', '--force']), { code: 2, err: 'only one of them' })
  t.same(await list(cli), before)
})

t.test('--wait shows one line of progress until rotation is safe, and then rotates', async (t) => {
  const cli = await startedCli(t)
  const first = await rotate(cli)
  cli.clock.tick(DAY - 2)
  const timer = setInterval(() => cli.clock.tick(1), 900)
  t.teardown(() => clearInterval(timer))
  const waited = await cli.run(['keys', 'rotate', '--wait', '--json'])
  t.equal(waited.code, 0)
  t.equal(waited.json<Rotated>().active, first.next)
  t.match(waited.err, /^waiting until it is safe to rotate, \ds to go …\n$/)
})

t.test('revoking a key removes it at once, promotes the next key and reports the exposure', async (t) => {
  const cli = await startedCli(t)
  const [active, next] = ['active', 'next'].map((state) => async () => {
    return (await list(cli)).find((key) => key.state === state)?.kid ?? ''
  }) as [() => Promise<string>, () => Promise<string>]
  const [compromised, successor] = [await active(), await next()]
  const outcome = await cli.run(['keys', 'revoke', compromised, '--json'])
  t.equal(outcome.code, 0)
  t.match(outcome.json(), {
    revoked: compromised,
    active: successor,
    next: /^[\w-]{43}$/,
    exposed_until: cli.clock.now() + DAY,
    held_by: [],
  })
  t.match(
    (await ringOf(cli)).keys.find(({ kid }) => kid === compromised),
    { state: 'revoked', encryptedPrivateKey: null },
  )
  t.match(cli.logger.audits('keys.revoked'), [{ actor: 'operator:tester', kid: compromised }])
  t.match((await cli.run(['keys', 'revoke', successor])).out, /may accept the revoked key until \d{4}-/)
  for (const kid of [compromised, 'no-such-key']) {
    const { code, err } = await cli.run(['keys', 'revoke', kid])
    t.equal(code, 1, kid)
    t.match(err, `keyturn: no key ${kid} is in the JWKS\n`)
  }
})

t.test('a kid may be shortened to any beginning that only one published key has', async (t) => {
  const cli = await startedCli(t)
  const before = await list(cli)
  const { out } = await cli.run(['keys', 'timeline'])
  const [, printed = ''] = /^(\S{8}…) active/m.exec(out) ?? []
  const kid = before.find((key) => key.state === 'active')?.kid
  t.match(await cli.json(['keys', 'revoke', printed]), { revoked: kid })
  t.match(
    await cli.run(['keys', 'revoke', printed]),
    { code: 1, err: 'is in the JWKS' },
    'revoked keys do not count',
  )

  const named = (state: string, name: string) => ({
    sql: `UPDATE ring_keys SET kid = $1 WHERE state = $2`,
    params: [name.padEnd(43, state), state],
  })
  await cli.withStore(({ db }) => db.batch([named('active', '-same-a'), named('next', '-same-b')]))
  const several = await cli.run(['keys', 'revoke', '-same'])
  t.match(several, { code: 1, err: /-same is the beginning of -same-\S+ and -same-\S+\n$/ })
  const short = await cli.run(['keys', 'revoke', '--', '-sa'])
  t.match(short, { code: 1, err: 'keyturn: "-sa" is too short: give at least 4 characters of the kid\n' })
  t.equal((await cli.run(['keys', 'revoke', ''])).code, 1, 'an empty kid is refused')
})

t.test('progress of a long wait is written to a pipe too, from time to time', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  t.teardown(() => mock.timers.reset())
  const lines: string[] = []
  const io = { errIsTerminal: false, err: (text: string) => lines.push(text) } as unknown as Io
  let left = 100
  const { promise, resolve } = Promise.withResolvers<void>()
  const waiting = withProgress(openTerminal(io), () => `${left} s to go …`, promise)
  for (; left > 10; left -= 1) mock.timers.tick(1000)
  resolve()
  await waiting
  t.same(lines, ['100 s to go …\n', '70 s to go …\n', '40 s to go …\n'])
})

t.test('a kid that begins with a dash is not parsed as an option', async (t) => {
  const cli = await startedCli(t)
  const kid = `-${'a'.repeat(42)}`
  for (const args of [
    ['keys', 'revoke', kid],
    ['keys', 'revoke', kid, '--json'],
    ['keys', 'revoke', '--bits', '2048', '--', kid],
  ]) {
    const { code, err } = await cli.run(args)
    t.equal(code, 1)
    t.match(err, `no key ${kid} is in the JWKS`)
  }
})

t.test('a key ring keeps its key size until another is requested', async (t) => {
  const cli = await startedCli(t)
  await rotate(cli, '--bits', '3072')
  const sizes = (await ringOf(cli)).keys.map(
    ({ publicJwk }) => Buffer.from(publicJwk.n ?? '', 'base64url').length * 8,
  )
  t.same(sizes.sort(), [2048, 2048, 3072])
  t.equal((await cli.run(['keys', 'rotate', '--bits', '1024'])).code, 2)
})

t.test('the timeline draws a bar for each key and marks the current time', async (t) => {
  const cli = await startedCli(t)
  const start = cli.clock.now()
  const first = await rotate(cli)
  cli.clock.tick(2 * DAY)
  const second = await rotate(cli)
  const { out } = await cli.run(['keys', 'timeline'], { columns: 80 })
  const lines = out.split('\n')
  t.equal(lines.length, 4 + 3 + 1)
  const bar = (kid: string) => lines.find((line) => line.startsWith(kid.slice(0, 8))) ?? ''
  t.match(bar(second.active), / active +░+█+$/)
  t.match(bar(second.next), / next +░+$/)
  t.match(bar(first.active), / retiring +█+▒*$/)
  t.match(out, '▲ now')
  for (const line of lines) t.ok(line.length <= 80, 'fits the terminal')
  const value = await cli.json<{ now: number; keys: ListedKey[] }>(['keys', 'timeline'])
  t.equal(value.now, start + 2 * DAY)
  t.same(value.keys, await list(cli))
})

t.test(
  'a key ring is never changed under another master key, and no new master key is created for it (docs/security.md Q8)',
  async (t) => {
    const cli = await startedCli(t)
    if (cli.remote) return
    await list(cli)
    const before = await ringOf(cli)
    const MASTER_KEY = Buffer.alloc(32, 1).toString('base64url')
    for (const args of [['list'], ['rotate', '--force'], ['revoke', before.keys[0]?.kid ?? '']]) {
      const { code, err } = await cli.run(['keys', ...args], { settings: { MASTER_KEY } })
      t.equal(code, 1, args[0] ?? '')
      t.match(err, 'it is encrypted under the master key')
      const elsewhere = await cli.run(['keys', ...args], { settings: { KEYS_DIR: `${cli.dir}/elsewhere` } })
      t.equal(elsewhere.code, 1, args[0] ?? '')
      t.match(elsewhere.err, 'elsewhere/master.key is missing')
    }
    t.same(await ringOf(cli), before)
  },
)

interface Simulated {
  readonly ok: boolean
  readonly safe_from: number
  readonly moments: readonly {
    event: string
    at: number
    kid?: string
    published: string[]
    active: string
  }[]
  readonly failing: readonly { verifier: string | null; kid: string; until: number }[]
  readonly warnings: readonly string[]
}

t.test(
  'keys simulate shows when a rotation would happen and who would fail, and changes nothing',
  async (t) => {
    const cli = await startedCli(t)
    const { active, next } = await rotate(cli)
    const published = cli.clock.now()
    await cli.withStore(async ({ verifiers }) => {
      await verifiers.record([{ name: 'orders', instance: 'a', ringVersion: 1, seenAt: published - 10 }])
    })
    cli.clock.tick(100)
    const before = await ringOf(cli)

    const waits = await cli.json<Simulated>(['keys', 'simulate', '--rotate'])
    t.match(waits, { ok: true, safe_from: published + DAY, failing: [] })
    const rotated = waits.moments.find(({ event }) => event === 'rotated')
    t.match(rotated, { at: published + DAY, kid: next, active: next })
    t.same([...(rotated?.published ?? [])].sort(), ['new-1', next, active].sort())

    const forced = await cli.run(['keys', 'simulate', '--rotate', '--force', '--json'])
    t.equal(forced.code, 1, 'a verifier would fail')
    t.match(forced.json<Simulated>(), {
      ok: false,
      failing: [
        { verifier: 'orders', kid: next, until: published - 10 + DAY + 1 },
        { verifier: null, kid: next, until: published + DAY },
      ],
    })
    const shown = await cli.run(['keys', 'simulate', '--rotate', '--force'])
    t.equal(shown.code, 1)
    t.match(shown.out, /^new-1 active/m, 'the ring is drawn')
    t.match(shown.out, `${next.slice(0, 8)}… signs (forced); verifiers fail`)
    t.match(shown.out, `orders would refuse good tokens of ${next.slice(0, 8)}… until`)
    t.same(await ringOf(cli), before)
    t.equal(cli.logger.audits('keys.rotated').length, 1)
  },
)

t.test('keys simulate tells a revocation’s exposure and refused tokens from failures', async (t) => {
  const cli = await startedCli(t)
  const kid = (await list(cli)).find(({ state }) => state === 'active')?.kid ?? ''
  const { code, out } = await cli.run(['keys', 'simulate', '--revoke', kid.slice(0, 8)])
  t.equal(code, 0)
  t.match(out, 'No verifier would refuse a good token.')
  t.match(out, 'are refused as they must be')
  t.match(out, /may still accept \S+, which is revoked, until/)
  const { next } = await rotate(cli)
  t.equal((await cli.run(['keys', 'simulate', '--revoke', next])).code, 0)
  const { active } = await cli.json<{ active: string }>(['keys', 'status'])
  t.equal(
    (await cli.run(['keys', 'simulate', '--revoke', active])).code,
    1,
    'the next key is not known everywhere',
  )
  const dashed = `-${'a'.repeat(42)}`
  t.match(await cli.run(['keys', 'simulate', '--revoke', dashed]), {
    code: 1,
    err: `no key ${dashed} is in the JWKS`,
  })
})

t.test(
  'keys simulate with other settings shows the rhythm of rotations, and what contradicts the settings',
  async (t) => {
    const cli = await startedCli(t)
    const start = cli.clock.now()
    const args = ['keys', 'simulate', '--every', '7d', '--verifier-cache', '1h', '--jwks-max-age', '2h']
    await cli.withStore(async ({ verifiers }) => {
      await verifiers.record([{ name: 'orders', instance: 'a', ringVersion: 1, seenAt: start }])
    })
    cli.clock.tick(2 * 3600)
    const simulated = await cli.json<Simulated>(args)
    t.same(
      simulated.moments.filter(({ event }) => event === 'rotated').map(({ at }) => at - start),
      [7 * DAY, 14 * DAY, 21 * DAY],
    )
    t.match(simulated.warnings, [
      /keep a JWKS for 2h, which is longer than 1h/,
      /^orders has not fetched the JWKS for longer than 1h/,
    ])
    t.match((await cli.run(args)).err, 'note: orders has not fetched')
    for (const wrong of [['--every', '7'], ['--verifier-cache', '91d'], ['--force']])
      t.equal((await cli.run(['keys', 'simulate', ...wrong])).code, 2, wrong.join(' '))
  },
)
