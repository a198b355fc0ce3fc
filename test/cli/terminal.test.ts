/** What others have stored reaches the terminal of an operator only in printable form, whichever command prints it. */
import t from 'tap'
import { startedCli } from '../support/processes/cli.ts'
import { api, client, session, user } from '../support/server/seed.ts'

/** Sets the title, answers for the operator, clears the screen (7 and 8 bits), forges a line, and turns the text around. */
const HOSTILE = 'x\u001B]0;owned\u0007\u001B[6n\u001B[2J\u009B2J\r\nSEQ 1 forged\u202Eltr\u0000\u007F'
const SHOWN =
  'x\\u001b]0;owned\\u0007\\u001b[6n\\u001b[2J\\u009b2J\\u000d\\u000aSEQ 1 forged\\u202eltr\\u0000\\u007f'

/** Everything that a terminal interprets, and a line that no command has written. */
const UNSAFE = /[^\P{C}\n]|^SEQ 1 forged/mu

const LISTS = [
  ['audit'],
  ['apis', 'list'],
  ['apis', 'show', HOSTILE],
  ['clients', 'list'],
  ['clients', 'show', HOSTILE],
  ['roles', 'list'],
  ['users', 'list'],
  ['users', 'show', 'alice'],
  ['sessions', 'list'],
  ['verifiers', 'list'],
  ['nodes'],
]

t.test('no command prints control characters that are stored (docs/security.md R2)', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['keys', 'list'])
  await cli.withStore(async (store) => {
    const now = cli.clock.now()
    await store.apis.insert(api({ identifier: HOSTILE, scopes: [HOSTILE] }))
    await store.clients.insert(
      client({ id: HOSTILE, name: HOSTILE, redirectUris: [HOSTILE], scopes: [HOSTILE] }),
    )
    await store.roles.insert({ name: HOSTILE, scopes: ['a'], requireSecondFactor: false, createdAt: 1 })
    const alice = await user({ name: HOSTILE, email: HOSTILE, roles: [HOSTILE] })
    await store.users.insert(alice)
    await store.users.insert(await user({ username: HOSTILE, roles: [] }))
    const status = { list: 0, idx: 0 }
    await store.clientSessions.insert(
      session(now, { id: 's1', userId: alice.id, clientId: HOSTILE, scopes: [HOSTILE], status }),
    )
    await store.clientSessions.revoke('s1', now, HOSTILE)
    await store.verifiers.record([{ name: HOSTILE, instance: HOSTILE, ringVersion: 1, seenAt: now }])
    await store.nodes.record({
      ...{
        id: HOSTILE,
        hostname: HOSTILE,
        pid: 1,
        version: HOSTILE,
        ringVersion: 1,
        masterKeys: [HOSTILE],
        settings: { issuer: HOSTILE },
      },
      ...{ startedAt: now, seenAt: now },
    })
  })
  await cli.json(['clients', 'disable', HOSTILE])

  for (const args of LISTS) {
    const { code, out, err } = await cli.run(args)
    t.equal(code, 0, err)
    t.notMatch(out, UNSAFE, args.join(' '))
    t.notMatch(err, UNSAFE)
    t.ok(out.includes(SHOWN), `${args[0]} shows the text in printable form`)
    const json = await cli.run([...args, '--json'])
    t.notMatch(json.out, UNSAFE, 'nor in JSON')
    t.match(JSON.stringify(json.json()), JSON.stringify(HOSTILE).slice(1, -1), 'whose value is exact')
  }
})

t.test('notes and errors contain no control characters (docs/security.md R2)', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['roles', 'create', 'clerk', '--scope', 'read', '--allow-unowned'])
  await cli.withStore(async ({ users }) => users.insert(await user({ username: HOSTILE, roles: ['clerk'] })))
  const removed = await cli.run(['roles', 'delete', 'clerk'])
  t.match(removed.err, `note: users who no longer have the role: ${SHOWN}`)
  t.notMatch(removed.err, UNSAFE)
  for (const args of [
    ['clients', 'show', HOSTILE],
    [HOSTILE],
    ['audit', '--limit', HOSTILE],
    ['users', 'list', `--${HOSTILE}`],
  ]) {
    const { code, out, err } = await cli.run(args)
    t.not(code, 0)
    t.notMatch(out + err, /[^\P{C}\n]/u, JSON.stringify(args))
    t.match(err, '\\u001b')
  }
})

t.test('a question on the terminal contains no control characters (docs/security.md R2)', async (t) => {
  const { openTerminal } = await import('../../src/cli/terminal.ts')
  const asked: string[] = []
  const io = { askSecret: async (question: string) => String(asked.push(question)) }
  await openTerminal(io as never).askSecret(`Password of ${HOSTILE}`)
  t.same(asked, [`Password of ${SHOWN}`])
})
