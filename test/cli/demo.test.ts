import { readdirSync } from 'node:fs'
import t from 'tap'
import { systemClock } from '../../src/system.ts'
import { testCli } from '../support/processes/cli.ts'

interface DemoReport {
  readonly ok: boolean
  readonly steps: { step: string; ok: boolean; details: string[] }[]
}

t.test('the demo succeeds under any settings and leaves nothing behind', async (t) => {
  const cli = testCli(t)
  const env = { ...cli.env, TMPDIR: cli.dir }
  const invalid = { ...env, KEYTURN_PROT: 'wrong', KEYTURN_DATABASE_URL: 'sqlite:/dev/null/x' }
  const outcome = await cli.run(['demo', '--json'], { env: invalid, clock: systemClock })
  t.equal(outcome.code, 0, outcome.err + outcome.out)
  const { ok, steps } = outcome.json<DemoReport>()
  t.equal(ok, true)
  t.ok(steps.every((step) => step.ok))
  const text = JSON.stringify(steps)
  for (const expected of [
    /keyturn serve/,
    /keyturn apis create .*keyturn clients create/,
    /valid for 600 s/,
    /verifies it offline, with the JWKS alone/,
    /tampered: refused, signature verification failed/,
    /another API: refused, unexpected \\"aud\\" claim value/,
    /keyturn keys rotate/,
    /the old and the new token both verify/,
    /introspection said active before and says inactive now/,
    /keyturn keys revoke [\w-]{43}.*the old token: refused/,
    /an expired token is refused.*\\"exp\\" claim timestamp check failed/,
  ]) {
    t.match(text, expected)
  }
  t.same(readdirSync(cli.dir), [], 'the temporary folder is gone')
})

t.test('a failing demo exits 1, names the failed step and cleans up', async (t) => {
  const cli = testCli(t)
  const env = { ...cli.env, TMPDIR: cli.dir }
  // The server issues tokens by this clock, and the demo verifies them by the real one, so they have already expired.
  cli.clock.set(cli.clock.now() - 100_000)
  const { code, out } = await cli.run(['demo'], { env })
  t.equal(code, 1)
  t.match(out, /^✓ the client gets a token$/m)
  t.match(out, /^✗ a service verifies it offline, with the JWKS alone\n {4}.*exp/m)
  t.match(out, /\nThe demo failed\.\n$/)
  t.same(readdirSync(cli.dir), [])
})

t.test('a stopped demo ends immediately and cleans up', async (t) => {
  const cli = testCli(t)
  const env = { ...cli.env, TMPDIR: cli.dir }
  const { code, out } = await cli.run(['demo'], { env, stopSignal: async () => 'SIGINT' })
  t.equal(code, 1)
  t.match(out, 'stopped by SIGINT')
  t.same(readdirSync(cli.dir), [])
})
