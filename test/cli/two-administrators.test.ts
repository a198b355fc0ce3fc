/**
 * Two commands of two administrators at the same time: what was acknowledged to one of them stays, whatever the other one had
 * read before.
 */
import t, { type Test } from 'tap'
import { verifyPassword } from '../../src/accounts/password.ts'
import { isGeneratedSecret } from '../../src/oauth/client-auth/secret.ts'
import { type Cli, startedCli } from '../support/processes/cli.ts'
import { withSecretHash } from '../support/server/seed.ts'

const API = 'https://orders.example'
const CHOSEN = 'a secret that an operator chose'
const ROUNDS = 6

const client = (cli: Cli) => cli.withStore(async (store) => withSecretHash(await store.clients.find('shop')))

async function withShop(t: Test): Promise<Cli> {
  const cli = await startedCli(t)
  await cli.json(['clients', 'create', '--name', 'Shop', '--id', 'shop', '--grant', 'client_credentials'])
  return cli
}

/** Standard input on which the line arrives when `first` is done: an administrator who thinks for a while. */
async function* after(first: () => Promise<unknown>, line: string): AsyncGenerator<Buffer> {
  await first()
  yield Buffer.from(line)
}

t.test(
  'a client that is disabled while `clients update --secret-stdin` waits for its input stays disabled (docs/security.md R1)',
  async (t) => {
    const cli = await withShop(t as Test)
    const disable = () => cli.json(['clients', 'disable', 'shop'])
    const updated = await cli.json<{ disabled: boolean }>(['clients', 'update', 'shop', '--secret-stdin'], {
      stdin: after(disable, CHOSEN),
    })
    t.equal(updated.disabled, true, 'the answer says so too')
    const stored = await client(cli)
    t.equal(stored?.disabled, true)
    t.match(
      await verifyPassword(stored?.secretHash ?? '', CHOSEN),
      { ok: true },
      'and the secret is the new one',
    )
  },
)

t.test(
  'what other commands change while a command waits for a secret is kept (docs/security.md R1)',
  async (t) => {
    const waiting = {
      update: ['update', 'shop', '--secret-stdin'],
      rotation: ['rotate-secret', 'shop', '--secret-stdin'],
    }
    for (const [what, command] of Object.entries(waiting)) {
      const cli = await withShop(t as Test)
      const change = () =>
        cli.json(['clients', 'update', 'shop', '--name', 'Renamed', '--scope', 'read', '--allow-unowned'])
      await cli.json(['clients', ...command], { stdin: after(change, CHOSEN) })
      t.match(await client(cli), { name: 'Renamed', scopes: ['read'], revision: 3 }, what)
    }
  },
)

t.test(
  'a command that waited for a secret is refused if the client no longer has one, or is gone (docs/security.md R1)',
  async (t) => {
    for (const command of ['update', 'rotate-secret']) {
      const cli = await withShop(t as Test)
      const makePublic = () =>
        cli.json(['clients', 'update', 'shop', '--grant', 'password', '--auth', 'none'])
      const waiting = ['clients', command, 'shop', '--secret-stdin']
      const late = await cli.run(waiting, { stdin: after(makePublic, CHOSEN) })
      t.not(late.code, 0)
      t.match(late.err, 'none')
      t.match(await client(cli), { authMethod: 'none', secretHash: null, revision: 2 })
      await cli.json(['clients', 'update', 'shop', '--auth', 'client_secret_basic'])
      const remove = () => cli.json(['clients', 'delete', 'shop'])
      const later = await cli.run(waiting, { stdin: after(remove, CHOSEN) })
      t.match(later, { code: 1, err: 'there is no client shop' })
      t.equal(await client(cli), null)
    }
  },
)

t.test('`rotate-secret` beside `update --name`: both changes are made (docs/security.md R1)', async (t) => {
  const cli = await withShop(t as Test)
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = await client(cli)
    const [rotated] = await Promise.all([
      cli.json<{ client_secret: string }>(['clients', 'rotate-secret', 'shop']),
      cli.json(['clients', 'update', 'shop', '--name', `Shop ${round}`]),
    ])
    t.ok(isGeneratedSecret(rotated.client_secret))
    const stored = await client(cli)
    t.equal(stored?.name, `Shop ${round}`)
    t.not(stored?.secretHash, before?.secretHash, 'the old secret is void')
  }
})

t.test(
  'of two administrators who delete the same thing, one is told that it is gone (docs/security.md R1)',
  async (t) => {
    const cli = await startedCli(t as Test)
    await cli.json(['apis', 'create', API, '--scope', 'read'])
    await cli.json(['roles', 'create', 'clerk', '--scope', 'read'])
    await cli.json(['clients', 'create', '--name', 'Shop', '--id', 'shop', '--grant', 'client_credentials'])
    for (const [kind, key] of [
      ['apis', API],
      ['roles', 'clerk'],
      ['clients', 'shop'],
    ] as const) {
      const both = await Promise.all([cli.run([kind, 'delete', key]), cli.run([kind, 'delete', key])])
      t.same(both.map(({ code }) => code).sort(), [0, 1], kind)
    }
    const deletions = (['api.changed', 'role.changed', 'client.changed'] as const).flatMap((event) =>
      cli.logger.audits(event).filter(({ action }) => action === 'deleted'),
    )
    t.equal(deletions.length, 3, 'each is in the audit log once')
  },
)

t.test(
  'two administrators who add scopes to the same thing both succeed (docs/security.md R1)',
  async (t) => {
    const cli = await withShop(t as Test)
    const scopes = Array.from({ length: ROUNDS }, (_, i) => `read${i}`).sort()
    await cli.json(['apis', 'create', API, '--scope', 'read'])
    await cli.json(['roles', 'create', 'clerk', '--scope', 'read'])
    const added = (args: string[]) =>
      Promise.all(scopes.map((scope) => cli.json([...args, '--add-scope', scope])))
    await added(['apis', 'update', API])
    await added(['clients', 'update', 'shop'])
    await added(['roles', 'update', 'clerk'])
    await cli.withStore(async (store) => {
      t.same([...((await store.apis.find(API))?.scopes ?? [])].sort(), ['read', ...scopes])
      t.same([...((await store.roles.find('clerk'))?.scopes ?? [])].sort(), ['read', ...scopes])
    })
    t.same([...((await client(cli))?.scopes ?? [])].sort(), scopes)
  },
)

t.test('APIs, roles and users keep the changes of both administrators (docs/security.md R1)', async (t) => {
  const cli = await startedCli(t as Test)
  await cli.json(['apis', 'create', API, '--scope', 'read'])
  await cli.json(['roles', 'create', 'clerk', '--scope', 'read'])
  await cli.json(['users', 'create', 'alice', '--password-stdin'], { input: 'correct horse battery staple' })
  for (let round = 0; round < ROUNDS; round += 1) {
    const seconds = 60 + round
    await Promise.all(
      [
        ['apis', 'update', API, '--scope', `read${round}`],
        ['apis', 'update', API, '--access-token-ttl', `${seconds}s`],
        ['roles', 'update', 'clerk', '--scope', `read${round}`, '--allow-unowned'],
        ['roles', 'update', 'clerk', round % 2 ? '--no-require-second-factor' : '--require-second-factor'],
        ['users', 'update', 'alice', '--name', `Alice ${'I'.repeat(round + 1)}`],
        ['users', 'update', 'alice', '--email', `a${round}@x.example`],
        ['users', round % 2 ? 'enable' : 'disable', 'alice'],
      ].map((args) => cli.json(args)),
    )
    await cli.withStore(async (store) => {
      const api = await store.apis.find(API)
      t.match(api, { scopes: [`read${round}`], accessTokenTtl: seconds })
      const role = await store.roles.find('clerk')
      t.match(role, { scopes: [`read${round}`], requireSecondFactor: round % 2 === 0 })
      const alice = await store.users.findByUsername('alice')
      const name = `Alice ${'I'.repeat(round + 1)}`
      t.match(alice, { name, email: `a${round}@x.example`, disabled: round % 2 === 0 })
    })
  }
})
