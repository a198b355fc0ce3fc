import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { session } from '../contracts/client-sessions.ts'
import { signIn } from '../contracts/user-sessions.ts'
import { type Cli, startedCli } from '../support/processes/cli.ts'
import { login, refresh } from '../support/server/requests.ts'
import { PASSWORD, seed, user } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'

interface ListedSession {
  readonly id: string
  readonly state: string
  readonly username: string
  readonly client_id: string
}

/** Alice is signed in at the app and on the phone, Bob at the app. */
async function signedIn(t: Test): Promise<{ cli: Cli; server: TestServer; tokens: Record<string, string> }> {
  const cli = await startedCli(t)
  const masterKey = readFileSync(join(cli.keysDir, 'master.key'), 'utf8').trim()
  const server = await testServer({ database: cli.database, clock: cli.clock, masterKey })
  t.teardown(() => server.close())
  await seed(server.store)
  await server.store.users.insert(await user({ username: 'bob' }))
  const tokens: Record<string, string> = {}
  for (const [name, username, client] of [
    ['aliceApp', 'alice', 'app'],
    ['alicePhone', 'alice', 'phone'],
    ['bobApp', 'bob', 'app'],
  ] as const) {
    cli.clock.tick(1)
    tokens[name] = (await login(server, { username, password: PASSWORD }, client)).json().refresh_token
  }
  return { cli, server, tokens }
}

/** The sessions that can still be refreshed. */
async function activeSessions(server: TestServer, tokens: Record<string, string>): Promise<string[]> {
  const names: string[] = []
  for (const [name, token] of Object.entries(tokens)) {
    const { statusCode } = await refresh(server, token, {}, name.endsWith('Phone') ? 'phone' : 'app')
    if (statusCode === 200) names.push(name)
  }
  return names
}

const list = (cli: Cli, ...args: string[]) => cli.json<ListedSession[]>(['sessions', 'list', ...args])

t.test('sessions are listed newest first, for everyone, one user or one client', async (t) => {
  const { cli } = await signedIn(t)
  const all = await list(cli)
  t.same(
    all.map(({ username, client_id, state }) => [username, client_id, state]),
    [
      ['bob', 'app', 'active'],
      ['alice', 'phone', 'active'],
      ['alice', 'app', 'active'],
    ],
  )
  t.match(all[0], { scope: 'orders:read orders:write', audience: 'https://orders.test', revoked_at: null })
  t.match(await list(cli, '--user', 'ALICE'), [{ client_id: 'phone' }, { client_id: 'app' }])
  t.match(await list(cli, '--client', 'app'), [{ username: 'bob' }, { username: 'alice' }])
  t.match(await list(cli, '--id', all[1]?.id ?? ''), [all[1]])
  const { out } = await cli.run(['sessions', 'list'])
  t.match(out, /^ID +USER +CLIENT +STATE +SIGNED IN +LAST USED +ENDS\n/)
  t.equal(out.split('\n').length, 5)
  cli.clock.tick(8 * 86_400)
  t.match(await list(cli, '--client', 'phone'), [{ state: 'expired' }])
})

t.test(
  'all client sessions of one user are ended, and no other user’s (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    const { cli, server, tokens } = await signedIn(t)
    const { revoked } = await cli.json<{ revoked: string[] }>(['sessions', 'revoke', '--user', 'alice'])
    t.equal(revoked.length, 2)
    t.same(await activeSessions(server, tokens), ['bobApp'])
    t.match(await list(cli, '--user', 'alice'), [
      { state: 'revoked', revoked_for: 'revoked by an operator' },
      {},
    ])
    t.same(
      cli.logger
        .audits('client_session.revoked')
        .map(({ actor, sid }) => [actor, revoked.includes(sid ?? '')]),
      [
        ['operator:tester', true],
        ['operator:tester', true],
      ],
    )
    const again = await cli.run(['sessions', 'revoke', '--user', 'alice'])
    t.same([again.code, again.out], [0, 'revoked 0 sessions\n'], 'revoking twice has no further effect')
  },
)

t.test(
  'revoking all sessions of a user signs out their browsers, revoking by client or id does not (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    const { cli, server } = await signedIn(t)
    const alice = await server.store.users.findByUsername('alice')
    const now = cli.clock.now()
    const of = { userId: alice?.id ?? '', expiresAt: now + 999, idleExpiresAt: now + 999 }
    await server.store.userSessions.insert(signIn(of), 'h')
    await server.store.clientSessions.insert(
      session({ id: 'here', clientId: 'app', userSessionId: 'browser', ...of }),
    )
    const endedAt = async () => (await server.store.userSessions.find('browser'))?.endedAt

    await cli.json(['sessions', 'revoke', '--id', 'here'])
    await cli.json(['sessions', 'revoke', '--client', 'app'])
    t.equal(await endedAt(), null)
    const { out, err } = await cli.run(['sessions', 'revoke', '--user', 'alice'])
    t.equal(out, 'revoked 1 session\n')
    t.equal(err, 'note: 1 browser signed out\n')
    t.equal(await endedAt(), now)
    const expected = {
      actor: 'operator:tester',
      sub: alice?.id,
      target: 'browser',
      reason: 'revoked by an operator',
    }
    t.match(cli.logger.audits('user_session.ended'), [expected])
  },
)

t.test('the sessions of a client, or one single session, can be ended', async (t) => {
  const { cli, server, tokens } = await signedIn(t)
  const [phone] = await list(cli, '--client', 'phone')
  const one = await cli.run(['sessions', 'revoke', '--id', phone?.id ?? ''])
  t.same([one.code, one.out], [0, 'revoked 1 session\n'])
  t.same(await activeSessions(server, tokens), ['aliceApp', 'bobApp'])
  await cli.json(['sessions', 'revoke', '--client', 'app'])
  t.same(await activeSessions(server, tokens), [])
})

t.test('deleting a client deletes its sessions', async (t) => {
  const { cli } = await signedIn(t)
  const { code, err } = await cli.run(['clients', 'delete', 'app'])
  t.same([code, err], [0, 'note: 2 sessions of the client ended\n'])
  t.match(await list(cli), [{ client_id: 'phone' }])
})

t.test('without exactly one selector nothing is revoked', async (t) => {
  const { cli, server, tokens } = await signedIn(t)
  for (const [args, code] of [
    [[], 2],
    [['--user', 'alice', '--client', 'app'], 2],
    [['alice'], 2],
    [['--user', 'carol'], 1],
    [['--client', 'ghost'], 1],
    [['--id', '-ghost'], 1],
  ] as const) {
    t.equal((await cli.run(['sessions', 'revoke', ...args])).code, code, args.join(' '))
  }
  t.equal((await cli.run(['sessions', 'list', '--user', 'carol'])).code, 1)
  t.same(await activeSessions(server, tokens), ['aliceApp', 'alicePhone', 'bobApp'])
})
