import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import argon2 from 'argon2'
import t, { type Test } from 'tap'
import { EMPTY_PROFILE } from '../../src/accounts/profile.ts'
import { userClaimsOf } from '../../src/oauth/user-claims.ts'
import { session } from '../contracts/client-sessions.ts'
import { signIn } from '../contracts/user-sessions.ts'
import { type Cli, startedCli } from '../support/processes/cli.ts'
import { basic, login, post, refresh } from '../support/server/requests.ts'
import { client, PASSWORD, SECRET, user } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'

const NEW_PASSWORD = 'another horse, another battery'
const CREATE = ['users', 'create', 'alice', '--password-stdin']
const input = `${PASSWORD}\n`

/** A server on a store with a client and a user that were created by commands. */
async function withServer(t: Test): Promise<{ cli: Cli; server: TestServer }> {
  const cli = await startedCli(t)
  await cli.json(['roles', 'create', 'clerk', '--scope', 'orders:read', '--allow-unowned'])
  const client = [
    'clients',
    'create',
    '--id',
    'app',
    '--name',
    'App',
    '--scope',
    'orders:read',
    '--allow-unowned',
    '--secret-stdin',
  ]
  await cli.json([...client, '--grant', 'password refresh_token'], { input: SECRET })
  await cli.json([...CREATE, '--role', 'clerk'], { input })
  const masterKey = readFileSync(join(cli.keysDir, 'master.key'), 'utf8').trim()
  const server = await testServer({ database: cli.database, clock: cli.clock, masterKey })
  t.teardown(() => server.close())
  return { cli, server }
}

const isActive = async (server: TestServer, token: string): Promise<boolean> =>
  (await post(server, '/oauth2/introspect', { token }, { authorization: basic('app') })).json().active

t.test(
  'a user is created with a random id, a normalised username and an argon2id password hash',
  async (t) => {
    const cli = await startedCli(t)
    await cli.json(['roles', 'create', 'clerk', '--scope', 'a', '--allow-unowned'])
    await cli.json(['roles', 'create', 'admin', '--scope', 'b', '--allow-unowned'])
    const create = [
      'users',
      'create',
      ' ALICE ',
      '--email',
      'a@b.example',
      '--role',
      'clerk',
      '--role',
      'admin',
    ]
    const created = await cli.json<Record<string, unknown>>([...create, '--password-stdin'], { input })
    const { id, ...rest } = created
    t.match(id, /^u_[\w-]{27}$/)
    t.same(rest, {
      username: 'alice',
      name: null,
      given_name: null,
      family_name: null,
      locale: null,
      zoneinfo: null,
      roles: ['admin', 'clerk'],
      email: 'a@b.example',
      email_verified: false,
      disabled: false,
      created_at: cli.clock.now(),
    })
    t.match(
      (await cli.withStore((store) => store.users.findByUsername('alice')))?.passwordHash,
      /^\$argon2id\$/,
    )
    t.same(
      await cli.json(['users', 'show', 'Alice']),
      { ...created, browsers: 0 },
      'found under any spelling of the name',
    )
    t.same(await cli.json(['users', 'list']), [created])
    t.match((await cli.run(['users', 'list'])).out, /^alice +u_\S+ +a@b\.example +admin clerk +enabled$/m)
    t.match(cli.logger.audits('user.changed'), [
      { actor: 'operator:tester', sub: id, target: 'alice', action: 'created' },
    ])
  },
)

t.test('usernames are unique in every spelling, and roles must exist', async (t) => {
  const cli = await startedCli(t)
  await cli.json(CREATE, { input })
  const again = await cli.run(['users', 'create', 'ALICE', '--password-stdin'], { input })
  t.equal(again.code, 1)
  t.equal(again.err, 'keyturn: the user alice already exists\n')
  const roleless = await cli.run(['users', 'create', 'bob', '--role', 'ghost', '--password-stdin'], { input })
  t.equal(roleless.code, 1)
  t.equal(roleless.err, 'keyturn: there is no role ghost\n')
  t.equal((await cli.json<unknown[]>(['users', 'list'])).length, 1)
})

t.test('invalid account input is a usage error', async (t) => {
  const cli = await startedCli(t)
  for (const [args, password] of [
    [['a\u0000b'], PASSWORD],
    [[''], PASSWORD],
    [['bob', '--email', 'nowhere'], PASSWORD],
    [['bob', '--email', 'a@b\u001b[31m'], PASSWORD],
    [['bob', '--email-verified'], PASSWORD],
    [['bob', '--name', 'Bob\u202e'], PASSWORD],
    [['bob', '--name', ' '], PASSWORD],
    [['bob', '--name', 'Bob\u200d'], PASSWORD],
    [['bob'], 'correct horse\u200b battery'],
    [['bob', '--name', 'x'.repeat(201)], PASSWORD],
    [['bob'], 'short'],
    [['bob'], 'password'],
    [['bob', '--name', 'Robert Miller'], 'robert-miller-1'],
    [['bob'], 'x'.repeat(1025)],
    [['bob'], ''],
  ] as const) {
    const { code } = await cli.run(['users', 'create', ...args, '--password-stdin'], { input: password })
    t.equal(code, 2, JSON.stringify([args, password.slice(0, 10)]))
  }
  t.same(await cli.json(['users', 'list']), [])
})

t.test('a password on standard input may be written by any editor, and is one line', async (t) => {
  const cli = await startedCli(t)
  const hashOf = async (name: string) =>
    (await cli.withStore((store) => store.users.findByUsername(name)))?.passwordHash ?? ''
  const files = [`${PASSWORD}\n`, `${PASSWORD}\r\n`, `\uFEFF${PASSWORD}`, `\uFEFF${PASSWORD}\r\n`]
  for (const [i, input] of files.entries()) {
    await cli.json(['users', 'create', `user${i}`, '--password-stdin'], { input })
    t.ok(await argon2.verify(await hashOf(`user${i}`), PASSWORD), JSON.stringify(input))
  }
  for (const input of [
    `${PASSWORD}\n\n`,
    `${PASSWORD}\r${PASSWORD}`,
    Buffer.from(PASSWORD, 'utf16le'),
    Buffer.from(`${PASSWORD}é`, 'latin1'),
  ]) {
    const { code, err } = await cli.run(['users', 'create', 'bob', '--password-stdin'], { input })
    t.equal(code, 2)
    t.match(err, /^keyturn: standard input /)
  }
})

t.test(
  'a password that is easy to guess is refused for a new and for an existing user (NIST SP 800-63B §3.1.1.2; docs/security.md R6)',
  async (t) => {
    const { cli, server } = await withServer(t)
    for (const [password, words] of [
      ['short', 'password must have 8 to 1024 characters'],
      ['password', 'password is one of the most common passwords'],
      ['alice-123456', 'password is too similar to the name of the user'],
    ] as const) {
      for (const command of [
        ['create', 'bob', '--name', 'Alice'],
        ['set-password', 'alice'],
      ]) {
        const refused = await cli.run(['users', ...command, '--password-stdin'], { input: password })
        t.same([refused.code, refused.err.includes(words)], [2, true], `${command[0]}: ${refused.err}`)
      }
    }
    t.equal((await cli.json<unknown[]>(['users', 'list'])).length, 1)
    t.equal((await login(server)).statusCode, 200, 'the password is unchanged')
  },
)

t.test(
  'a name and an email address can be set at creation or later, and are shown (OpenID Connect Core §5.1)',
  async (t) => {
    const cli = await startedCli(t)
    const given = ['--name', 'Alice Ångström', '--email', 'alice@example.com', '--email-verified']
    const created = await cli.json<Record<string, unknown>>([...CREATE, ...given], { input })
    t.match(created, { name: 'Alice Ångström', email: 'alice@example.com', email_verified: true })
    const stored = () => cli.withStore((store) => store.users.findByUsername('alice'))
    const before = await stored()
    cli.clock.tick(5)

    const update = (...options: string[]) => cli.json(['users', 'update', 'ALICE', ...options])
    t.same(await update('--name', 'Alice'), { ...created, name: 'Alice' }, 'the other fields are unchanged')
    t.same(await stored(), { ...before, name: 'Alice', updatedAt: cli.clock.now(), revision: 2 })
    t.match(
      await update('--email', 'alice@example.com'),
      { email_verified: true },
      'the same address stays verified',
    )
    const newAddress = { email: 'a@b.example', email_verified: false }
    t.match(await update('--email', 'a@b.example'), newAddress, 'another address is unverified')
    t.match(await update('--email-verified'), { ...newAddress, email_verified: true })
    t.match(await update('--no-email-verified'), newAddress)
    t.match(
      await update('--email', 'x@b.example', '--email-verified'),
      { email_verified: true },
      'unless stated otherwise',
    )
    t.match(await update('--email', '', '--name', ''), { email: null, email_verified: false, name: null })
    const actions = cli.logger.audits('user.changed').map(({ action }) => action)
    t.same(actions, ['created', ...Array(7).fill('profile changed')])

    const last = await stored()
    for (const options of [
      [],
      ['--email-verified'],
      ['--email', 'nowhere'],
      ['--email', '', '--email-verified'],
      ['--name', 'two\nlines'],
      ['--username', 'bob'],
    ]) {
      t.equal((await cli.run(['users', 'update', 'alice', ...options])).code, 2, options.join(' '))
    }
    t.same(await stored(), last)
  },
)

t.test(
  'given and family name, language and time zone are optional, checked and stored in canonical form (OpenID Connect Core §5.1)',
  async (t) => {
    const { cli, server } = await withServer(t)
    const names = ['--given-name', 'Bo', '--family-name', 'Ek']
    const create = ['users', 'create', 'bo', ...names, '--locale', 'DE-ch', '--zoneinfo', 'europe/zurich']
    const claims = { given_name: 'Bo', family_name: 'Ek', locale: 'de-CH', zoneinfo: 'Europe/Zurich' }
    t.match(await cli.json([...create, '--password-stdin'], { input }), claims)
    t.match(await cli.json(['users', 'show', 'bo']), claims)
    const user = await server.store.users.findByUsername('bo')
    if (!user) throw new Error('there is no user bo')
    t.match(userClaimsOf(user, ['openid', 'profile']), claims)

    const update = (...options: string[]) => cli.run(['users', 'update', 'bo', ...options])
    for (const [option, values] of Object.entries({
      '--given-name': ['a\u0007', 'x'.repeat(201)],
      '--family-name': ['a\nb', 'x'.repeat(201)],
      '--locale': ['german', 'de_CH', 'de-', 'x', '*', `de-x-${'a-'.repeat(60)}a`],
      '--zoneinfo': [
        'Europe/Nowhere',
        '+01:00',
        '-05',
        'CEST+1',
        'Europe/',
        '../etc/passwd',
        'Europe/Berlin ',
      ],
    })) {
      for (const value of values) {
        const { code, err } = await update(option, value)
        t.equal(code, 2, `${option} ${value}`)
        t.match(err, /^keyturn: (?:given name|family name|locale|time zone) must be /, `${option} ${value}`)
      }
    }
    t.match(await cli.json(['users', 'show', 'bo']), claims, 'a refused value changes nothing')
    for (const zone of ['UTC', 'Asia/Kolkata', 'America/Argentina/Ushuaia', 'Etc/GMT+5']) {
      t.match(await cli.json(['users', 'update', 'bo', '--zoneinfo', zone]), { zoneinfo: zone })
    }
    const cleared = await cli.json([
      'users',
      'update',
      'bo',
      '--given-name',
      '',
      '--locale',
      '',
      '--zoneinfo',
      '',
    ])
    t.match(cleared, { given_name: null, family_name: 'Ek', locale: null, zoneinfo: null })
  },
)

t.test('a password is prompted for twice, and only on a terminal', async (t) => {
  const cli = await startedCli(t)
  const withoutTerminal = await cli.run(['users', 'create', 'alice'], { input })
  t.equal(withoutTerminal.code, 2)
  t.match(withoutTerminal.err, 'use --password-stdin')
  const answers = [PASSWORD, PASSWORD]
  const askSecret = async () => answers.shift() ?? ''
  t.equal((await cli.run(['users', 'create', 'alice'], { interactive: true, askSecret })).code, 0)
  answers.push(PASSWORD, 'something else')
  const mismatch = await cli.run(['users', 'set-password', 'alice'], { interactive: true, askSecret })
  t.equal(mismatch.code, 2)
  t.match(mismatch.err, 'the passwords do not match')
})

t.test('what can be refused is refused before a password is asked for, or asked for again', async (t) => {
  const cli = await startedCli(t)
  let asked = 0
  const answering = (password: string) => ({
    interactive: true,
    askSecret: async () => {
      asked += 1
      return password
    },
  })
  await cli.json(['users', 'create', 'bob', '--password-stdin'], { input: PASSWORD })
  const message = /^keyturn: password must have 8 to 1024 characters\n$/
  for (const args of [
    ['create', 'alice'],
    ['set-password', 'bob'],
  ]) {
    asked = 0
    t.match(await cli.run(['users', ...args], answering('short')), { code: 2, err: message })
    t.equal(asked, 1)
  }
  asked = 0
  for (const [args, reason] of [
    [['bob'], /the user bob already exists/],
    [['alice', '--role', 'clerk'], /there is no role clerk/],
    [['alice', '--email', 'nowhere'], /email must be an address/],
    [[' '], /username must be/],
  ] as const) {
    const { code, err } = await cli.run(['users', 'create', ...args], answering(PASSWORD))
    t.ok(code > 0)
    t.match(err, reason)
  }
  t.equal(asked, 0)
})

t.test(
  'a new password ends every session of the user and invalidates the old password (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    const { cli, server } = await withServer(t)
    const sessions = [(await login(server)).json(), (await login(server)).json()]
    for (const { access_token: token } of sessions) t.equal(await isActive(server, token), true)

    const { code, err } = await cli.run(['users', 'set-password', 'alice', '--password-stdin'], {
      input: NEW_PASSWORD,
    })
    t.equal(code, 0)
    t.equal(err, 'note: 2 sessions ended\n')
    for (const { access_token: token, refresh_token: refreshToken } of sessions) {
      t.match((await refresh(server, refreshToken)).json(), { error: 'invalid_grant' })
      t.equal(await isActive(server, token), false)
    }
    t.equal((await login(server)).statusCode, 400, 'the old password')
    t.equal((await login(server, { password: NEW_PASSWORD })).statusCode, 200, 'the new password')
    t.match(cli.logger.audits('client_session.revoked'), [
      { actor: 'operator:tester', reason: 'password changed' },
      { actor: 'operator:tester', reason: 'password changed' },
    ])
    t.match(cli.logger.audits('user.changed').at(-1), { action: 'password set', target: 'alice' })
  },
)

t.test(
  'disabling a user stops new tokens and makes existing ones inactive at once (RFC 6749 §5.2, RFC 9700 §4.14.2; docs/security.md E62, F72)',
  async (t) => {
    const { cli, server } = await withServer(t)
    const { access_token: token, refresh_token: refreshToken } = (await login(server)).json()
    t.match(await cli.json(['users', 'disable', 'alice']), { username: 'alice', disabled: true })
    t.match((await refresh(server, refreshToken)).json(), { error: 'invalid_grant' })
    t.match((await login(server)).json(), { error: 'invalid_grant' })
    t.equal(await isActive(server, token), false)
    t.match((await cli.run(['users', 'list'])).out, /alice .* disabled\n/)

    t.match(await cli.json(['users', 'enable', 'alice']), { disabled: false })
    t.equal((await login(server)).statusCode, 200)
    t.match(
      (await refresh(server, refreshToken)).json(),
      { error: 'invalid_grant' },
      'an ended session stays ended',
    )
    const actions = cli.logger.audits('user.changed').map(({ action }) => action)
    t.same(actions, ['created', 'disabled', 'enabled'])
  },
)

t.test(
  'a new password or disabling the account signs out every browser and ends its sessions (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    for (const [args, reason] of [
      [['set-password', 'alice', '--password-stdin'], 'password changed'],
      [['disable', 'alice'], 'account disabled'],
    ] as const) {
      const { cli, server } = await withServer(t)
      const { store } = server
      await store.clients.insert(client())
      const alice = await store.users.findByUsername('alice')
      const bob = await user({ username: 'bob', roles: [] })
      await store.users.insert(bob)
      const now = cli.clock.now()
      const ends = { expiresAt: now + 999, idleExpiresAt: now + 999 }
      const ofAlice = { userId: alice?.id ?? '', ...ends }
      await store.userSessions.insert(signIn({ id: 'one', ...ofAlice }), 'h1')
      await store.userSessions.insert(signIn({ id: 'two', ...ofAlice }), 'h2')
      await store.userSessions.insert(signIn({ id: 'bobs', userId: bob.id, ...ends }), 'h3')
      await store.clientSessions.insert(session({ id: 's1', userSessionId: 'one', ...ofAlice }))
      await store.clientSessions.insert(
        session({ id: 'offline', userSessionId: 'one', offline: true, ...ofAlice }),
      )
      t.match(await cli.json(['users', 'show', 'alice']), { browsers: 2 })
      await cli.json(['users', 'update', 'alice', '--name', 'Alice'])
      t.equal((await store.userSessions.find('one'))?.endedAt, null, 'a new name ends no session')

      cli.logger.lines.length = 0
      const { code, err } = await cli.run(['users', ...args], { input: NEW_PASSWORD })
      t.equal(code, 0)
      t.equal(err, 'note: 2 browsers signed out\nnote: 2 sessions ended\n')
      for (const id of ['one', 'two']) t.equal((await store.userSessions.find(id))?.endedAt, now, id)
      t.equal((await store.userSessions.find('bobs'))?.endedAt, null, 'other users stay signed in')
      for (const id of ['s1', 'offline']) {
        t.match(await store.clientSessions.find(id), { revokedAt: now, revokedReason: reason }, id)
      }
      t.match(await cli.json(['users', 'show', 'alice']), { browsers: 0 })
      const expected = { actor: 'operator:tester', sub: alice?.id, reason }
      const signedOut = [...cli.logger.audits('user_session.ended')].sort((a, b) =>
        `${a.target}` < `${b.target}` ? -1 : 1,
      )
      t.match(signedOut, [
        { ...expected, target: 'one' },
        { ...expected, target: 'two' },
      ])
      const ended = [...cli.logger.audits('client_session.revoked')].map(({ sid }) => sid).sort()
      t.same(ended, ['offline', 's1'], 'each one once')
    }
  },
)

t.test('granting or removing a role takes effect with the next token', async (t) => {
  const { cli, server } = await withServer(t)
  const { refresh_token: refreshToken } = (await login(server)).json()
  t.match(await cli.json(['users', 'remove-role', 'alice', 'clerk']), { roles: [] })
  t.match((await refresh(server, refreshToken)).json(), { error: 'invalid_scope' })
  t.match(await cli.json(['users', 'add-role', 'alice', 'clerk']), { roles: ['clerk'] })
  t.equal((await login(server)).json().scope, 'orders:read')

  for (const [args, message] of [
    [['add-role', 'alice', 'clerk'], 'alice has the role clerk already'],
    [['add-role', 'alice', 'ghost'], 'there is no role ghost'],
    [['remove-role', 'alice', 'ghost'], 'alice does not have the role ghost'],
  ] as const) {
    const { code, err } = await cli.run(['users', ...args])
    t.equal(code, 1)
    t.equal(err, `keyturn: ${message}\n`)
  }
})

t.test('an unknown user is refused before a password is prompted for', async (t) => {
  const cli = await startedCli(t)
  const askSecret = () => t.fail('no password prompt is expected') as never
  for (const args of [['show'], ['update', '--name', 'x'], ['set-password'], ['disable'], ['enable']]) {
    const { code, err } = await cli.run(['users', ...args, 'bob'], { interactive: true, askSecret })
    t.equal(code, 1)
    t.equal(err, 'keyturn: there is no user bob\n')
  }
})

t.test('a role is created, changed and deleted, and the output names the affected users', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['apis', 'create', 'https://orders.example', '--scope', 'read', '--scope', 'write'])
  const role = await cli.json(['roles', 'create', 'clerk', '--scope', 'read write'])
  t.same(role, {
    name: 'clerk',
    scopes: ['read', 'write'],
    require_second_factor: false,
    created_at: cli.clock.now(),
  })
  for (const name of ['alice', 'bob', 'carol', 'dan', 'eve', 'frank', 'grace']) {
    await cli.withStore((store) =>
      store.users.insert({
        ...{
          id: `u_${name}`,
          username: name,
          ...EMPTY_PROFILE,
          passwordHash: 'x',
          roles: ['clerk'],
        },
        ...{ disabled: false, createdAt: 1, updatedAt: 1 },
      }),
    )
  }
  const updated = await cli.run(['roles', 'update', 'clerk', '--scope', 'read'])
  t.equal(
    updated.err,
    'note: users who no longer have write from this role: alice, bob, carol, dan, eve and 2 more\n',
  )
  const typed = ['roles', 'update', 'clerk', '--scope', 'raed']
  t.match(await cli.run(typed), { code: 1, err: 'keyturn: no API has the scope raed: add it to one' })
  const added = await cli.run(['roles', 'update', 'clerk', '--add-scope', 'write'])
  t.same([added.code, added.err], [0, ''])
  t.match(await cli.json(['roles', 'list']), [{ scopes: ['read', 'write'] }])
  t.equal((await cli.run(['roles', 'update', 'clerk', '--remove-scope', 'write'])).code, 0)
  t.match((await cli.run([...typed, '--allow-unowned'])).err, 'note: no API has the scope raed')
  t.match((await cli.run(['roles', 'list'])).out, /^clerk +raed /m)
  const gone = await cli.run(['roles', 'delete', 'clerk'])
  t.match(gone.err, 'note: users who no longer have the role: alice, bob')
  t.match(await cli.json(['users', 'show', 'alice']), { roles: [] })
  t.same(await cli.json(['roles', 'list']), [])
  const actions = cli.logger.audits('role.changed').map(({ action }) => action)
  t.same(actions, ['created', ...Array(4).fill('updated'), 'deleted'])
})

t.test('a role can require a second factor at creation or later', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['apis', 'create', 'https://orders.example', '--scope', 'read'])
  const strict = await cli.json(['roles', 'create', 'admin', '--scope', 'read', '--require-second-factor'])
  t.match(strict, { name: 'admin', require_second_factor: true })
  await cli.json(['roles', 'create', 'clerk', '--scope', 'read'])
  await cli.json([...CREATE, '--role', 'clerk'], { input })

  const { out, err } = await cli.run(['roles', 'update', 'clerk', '--require-second-factor'])
  t.equal(err, 'note: users who must now sign in with a second factor: alice\n')
  t.match(out, /^require_second_factor +true$/m)
  t.match(await cli.json(['roles', 'list']), [
    { name: 'admin', scopes: ['read'], require_second_factor: true },
    { name: 'clerk', scopes: ['read'], require_second_factor: true },
  ])
  const again = await cli.run(['roles', 'update', 'clerk', '--require-second-factor'])
  t.equal(again.err, '', 'there is no note if nothing changes')
  t.match(await cli.json(['roles', 'update', 'clerk', '--scope', 'read']), { require_second_factor: true })
  t.match(await cli.json(['roles', 'update', 'clerk', '--no-require-second-factor']), {
    scopes: ['read'],
    require_second_factor: false,
  })
  const table = (await cli.run(['roles', 'list'])).out
  t.match(table, /^admin +read +required +\d/m)
  t.match(table, /^clerk +read +\d/m)
})

t.test('an invalid role is refused', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['roles', 'create', 'clerk', '--scope', 'a', '--allow-unowned'])
  for (const [args, code] of [
    [['create', 'clerk', '--scope', 'a', '--allow-unowned'], 1],
    [['create', 'new', '--scope', 'a'], 1],
    [['update', 'clerk', '--add-scope', 'b'], 1],
    [['update', 'clerk', '--remove-scope', 'b'], 1],
    [['update', 'clerk', '--remove-scope', 'a'], 2],
    [['update', 'ghost', '--scope', 'a'], 1],
    [['delete', 'ghost'], 1],
    [['create', 'two words', '--scope', 'a'], 2],
    [['create', 'new\u001b', '--scope', 'a'], 2],
    [['create', 'new'], 2],
    [['create', 'new', '--scope', ''], 2],
    [['create', 'new', '--scope', 'openid'], 2],
    [['update', 'clerk', '--scope', 'a"'], 2],
    [['update', 'clerk', '--scope', ''], 2],
    [['update', 'clerk'], 2],
    [['update', 'ghost', '--require-second-factor'], 1],
    [['create', 'new', '--require-second-factor'], 2],
  ] as const) {
    t.equal((await cli.run(['roles', ...args])).code, code, args.join(' '))
  }
  t.match(await cli.json(['roles', 'list']), [{ name: 'clerk', scopes: ['a'] }])
})

t.test('lost second factors can be removed: authenticator app, passkeys and recovery codes', async (t) => {
  const cli = await startedCli(t)
  const { id } = await cli.json(CREATE, { input })
  const userId = String(id)
  const reset = ['users', 'reset-second-factor', 'ALICE']
  t.equal((await cli.run(reset)).out, 'alice has no second factor\n')
  t.same(cli.logger.audits('factor.removed'), [])

  const passkey = { userId, publicKey: 'k', counter: 0, transports: [], name: 'x', backedUp: false }
  const fill = () =>
    cli.withStore(async ({ factors }) => {
      await factors.addTotp({ userId, encryptedSecret: 'v1.1.x', dataKey: 1, lastStep: 1, createdAt: 1 })
      await factors.addPasskey({ ...passkey, id: 'a', createdAt: 1, lastUsedAt: null })
      await factors.addPasskey({ ...passkey, id: 'b', createdAt: 1, lastUsedAt: null })
      await factors.replaceRecoveryCodes(userId, ['a'], 1)
    })
  await fill()
  const removed = { totp: true, passkeys: 2, recovery_codes: 1 }
  t.same(await cli.json(reset), { id, username: 'alice', removed })
  const left = await cli.withStore(({ factors }) => factors.summary(userId))
  t.same(left, { totp: false, passkeys: 0, recoveryCodes: 0 })
  t.match(cli.logger.audits('factor.removed'), [
    { actor: 'operator:tester', sub: id, target: 'alice', action: 'all' },
  ])

  await fill()
  const text = 'removed the second factors of alice: authenticator app, 2 passkeys, 1 recovery code\n'
  t.equal((await cli.run(reset)).out, text)
  t.match(await cli.run(['users', 'reset-second-factor', 'bob']), {
    code: 1,
    err: 'keyturn: there is no user bob\n',
  })
})

t.test('an invitation makes an account without a password, and a link that is printed once', async (t) => {
  const { cli, server } = await withServer(t)
  const invite = ['users', 'invite', 'Ivy', '--email', 'ivy@test', '--role', 'clerk']
  const first = await cli.json<Record<string, unknown>>(invite)
  t.same(Object.keys(first), ['username', 'link', 'expires_at'])
  t.equal(first.username, 'ivy')
  t.equal(first.expires_at, cli.clock.now() + 3600)
  t.match(first.link, /^https?:\/\/[^?]+\/account\/invitation\?secret=[\w-]{43}$/)
  t.match(await cli.json(['users', 'show', 'ivy']), { email: 'ivy@test', roles: ['clerk'], disabled: false })
  t.equal((await login(server, { username: 'ivy', password: PASSWORD })).statusCode, 400)
  // Another link for the same account, once the first has expired or was lost.
  const second = await cli.json<Record<string, unknown>>(['users', 'invite', 'ivy'])
  t.not(second.link, first.link)
  t.match(await cli.run(invite), { code: 1, err: /ivy already exists/ })
  t.match(await cli.run(['users', 'reset-link', 'ivy']), { code: 1, err: /no password yet: users invite/ })
  t.match(await cli.run(['users', 'invite', 'eve', '--role', 'nothing']), { code: 1, err: /no role nothing/ })
  t.match(await cli.run(['users', 'show', 'eve']), { code: 1 })
})

t.test('a reset link is for an enabled account that has a password', async (t) => {
  const { cli } = await withServer(t)
  const reset = await cli.json<Record<string, unknown>>(['users', 'reset-link', 'alice'])
  t.match(reset.link, /\/account\/reset\?secret=[\w-]{43}$/)
  t.match(await cli.run(['users', 'invite', 'alice']), { code: 1, err: /has a password: users reset-link/ })
  await cli.json(['users', 'disable', 'alice'])
  t.match(await cli.run(['users', 'reset-link', 'alice']), { code: 1, err: /alice is disabled/ })
  t.match(await cli.run(['users', 'reset-link', 'nobody']), { code: 1, err: /no user nobody/ })
})

t.test('a renamed user signs in with the new name only, and sessions continue', async (t) => {
  const { cli, server } = await withServer(t)
  const { id } = await cli.json<{ id: string }>(['users', 'show', 'alice'])
  const { refresh_token } = (await login(server)).json()
  const renamed = await cli.json(['users', 'rename', 'alice', ' ALICE.Miller '])
  t.match(renamed, { id, username: 'alice.miller' })
  t.equal((await refresh(server, refresh_token)).statusCode, 200)
  t.equal((await login(server)).statusCode, 400)
  t.equal((await login(server, { username: 'alice.miller' })).statusCode, 200)
  t.match(await cli.run(['users', 'show', 'alice']), { code: 1 })
  await cli.json([...CREATE], { input })
  t.match(await cli.run(['users', 'rename', 'alice.miller', 'Alice']), {
    code: 1,
    err: /alice already exists/,
  })
  t.match(await cli.run(['users', 'rename', 'alice', 'a\u200bb']), { code: 2, err: /username must be/ })
  t.match(await cli.run(['users', 'rename', 'nobody', 'x']), { code: 1, err: /no user nobody/ })
  t.match(await cli.json(['users', 'rename', 'alice', 'alice']), { username: 'alice' }, 'the same name again')
  const events = await cli.json<{ sub: string; fields: Record<string, string> }[]>(['audit'])
  const changes = events.filter(({ fields }) => fields.action === 'renamed')
  t.match(changes, [{ sub: id, fields: { target: 'alice → alice.miller' } }])
  t.equal(changes.length, 1)
})

t.test(
  'a user is deleted after a question on a terminal, with everything that belongs to the account',
  async (t) => {
    const { cli, server } = await withServer(t)
    const { id } = await cli.json<{ id: string }>(['users', 'show', 'alice'])
    const { access_token, refresh_token } = (await login(server)).json()
    const questions: string[] = []
    const terminal = (answer: boolean) => ({
      interactive: true,
      confirm: async (question: string) => {
        questions.push(question)
        return answer
      },
    })
    t.match(await cli.run(['users', 'delete', 'alice'], terminal(false)), {
      code: 1,
      err: /nothing was deleted/,
    })
    t.match(questions, [/^Delete the user alice\?/])
    t.ok(await isActive(server, access_token))
    const outcome = await cli.run(['users', 'delete', 'alice', '--yes'], terminal(false))
    t.match(outcome, { code: 0, out: /^deleted alice\n$/, err: /1 session ended/ })
    t.equal(questions.length, 1)
    t.match(await cli.run(['users', 'delete', 'alice']), { code: 1, err: /there is no user alice/ })
    await server.poll()
    t.notOk(await isActive(server, access_token))
    t.equal((await refresh(server, refresh_token)).statusCode, 400)
    t.match(await cli.run(['audit', 'verify']), { code: 0 })
    const events = await cli.json<Record<string, unknown>[]>(['audit', '--user', id])
    t.match(events.at(-1), { sub: id, username: null, fields: { action: 'deleted' } })
    t.notMatch(JSON.stringify(events), /alice|"ip"/)
    // The name is free, and the new account is another one.
    const again = await cli.json<{ id: string }>(CREATE, { input })
    t.not(again.id, id)
    t.match(await cli.json(['users', 'delete', 'alice']), { deleted: 'alice' })
  },
)
