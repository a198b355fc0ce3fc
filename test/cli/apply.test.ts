/** `apply` and `dump`: the state of a server as a document. */
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { verifyPassword } from '../../src/accounts/password.ts'
import { ADMIN_ROLE, COMMAND_LINE_CLIENT, ensureBuiltIns, isAdminScope } from '../../src/admin/built-ins.ts'
import type { DocumentView } from '../../src/admin/declared/document.schema.ts'
import { type Cli, commandIn, type RunOptions, startedCli } from '../support/processes/cli.ts'
import { emptyFolder, withOpened } from '../support/processes/data-folder.ts'
import { keyturn } from '../support/processes/process.ts'
import { withSecretHash } from '../support/server/seed.ts'

const SECRET = 'a secret that an operator chose'

const DOCUMENT = `
apis:
  - identifier: https://orders.example
    name: Orders
    scopes: { orders:read: See your orders, orders:write: }
    access_token_ttl: 5m
roles:
  - { name: clerk, scopes: [orders:read, orders:write] }
clients:
  - client_id: shop
    client_name: Shop
    grant_types: [authorization_code, refresh_token]
    redirect_uris: [https://shop.example/callback]
    scope: openid orders:read
    secret: { from_env: SHOP_SECRET }
  - client_id: page
    client_name: Page
    token_endpoint_auth_method: none
    grant_types: [authorization_code]
    redirect_uris: [https://page.example/callback]
users:
  - { username: alice, email: alice@example.com, roles: [clerk] }
`

interface Changes {
  readonly changes: readonly {
    readonly kind: string
    readonly id: string
    readonly action: string
    readonly fields?: Record<string, { from?: unknown; to: unknown }>
    readonly client_secret?: string
  }[]
}

async function prepared(t: Test) {
  const cli = await startedCli(t)
  const options: RunOptions = { variables: { SHOP_SECRET: SECRET } }
  const save = (document: string | object) => {
    const text = typeof document === 'string' ? document : JSON.stringify(document)
    writeFileSync(join(cli.dir, 'keyturn.yaml'), text)
  }
  const args = (more: readonly string[]) => ['apply', '-f', 'keyturn.yaml', ...more]
  return {
    cli,
    save,
    run: (...more: readonly string[]) => cli.run(args(more), options),
    /** Saves the document and applies it. */
    apply(document: string | object, ...more: readonly string[]) {
      save(document)
      return cli.json<Changes>(args(more), options)
    },
    refused: async (document: string | object, ...more: readonly string[]) => {
      save(document)
      const outcome = await cli.run(args([...more, '--json']), options)
      t.not(outcome.code, 0, outcome.out)
      return {
        ...outcome.json<Partial<Changes> & { error: string; problems?: string[] }>(),
        code: outcome.code,
      }
    },
  }
}

const summary = ({ changes }: Changes) => changes.map(({ action, kind, id }) => `${action} ${kind} ${id}`)

/** Everything that changes when something changes. */
async function traces(cli: Cli) {
  const rows = await cli.json<unknown[]>(['audit', '--limit', '1000'])
  return { audit: rows.length, state: await stored(cli) }
}

/** APIs, roles, clients and users, without what a server builds in. */
const stored = (cli: Cli) =>
  cli.withStore(async ({ apis, roles, clients, users }) => [
    (await apis.list()).filter(({ scopes }) => !scopes.some(isAdminScope)),
    (await roles.list()).filter(({ name }) => name !== ADMIN_ROLE),
    (await clients.page(null, 1000)).filter(({ id }) => id !== COMMAND_LINE_CLIENT),
    await users.page(null, 1000),
  ])

t.test('a dry run prints the difference as a person would write it, and changes nothing', async (t) => {
  const { cli, save, run } = await prepared(t as Test)
  const before = await traces(cli)
  save(DOCUMENT)
  const first = await run('--dry-run')
  t.equal(first.code, 0)
  t.equal(
    first.out,
    `+ API https://orders.example
    name                 Orders
    scopes               orders:read orders:write
    text of orders:read  See your orders
    access_token_ttl     5m
+ role clerk
    scopes  orders:read orders:write
+ client shop
    client_name    Shop
    grant_types    authorization_code refresh_token
    scope          openid orders:read
    redirect_uris  https://shop.example/callback
    secret         from the environment variable SHOP_SECRET
+ client page
    client_name                 Page
    token_endpoint_auth_method  none
    grant_types                 authorization_code
    redirect_uris               https://page.example/callback
+ user alice
    email  alice@example.com
    roles  clerk
5 to create; this was a dry run
`,
  )
  t.same(await traces(cli), before)

  t.equal((await run()).code, 0)
  save(
    DOCUMENT.replace('access_token_ttl: 5m', '')
      .replace('See your orders', 'Read orders')
      .replace('openid orders:read', 'openid orders:write')
      .replace('client_name: Page', 'client_name: Start page')
      .replace('[clerk]', '[]'),
  )
  t.equal(
    (await run('--dry-run')).out,
    `~ API https://orders.example
    text of orders:read  See your orders → Read orders
    access_token_ttl     5m → default
~ client shop
    scope  - orders:read  + orders:write
~ client page
    client_name  Page → Start page
~ user alice
    roles  - clerk
4 to change; this was a dry run
`,
  )
})

t.test(
  'apply reaches the declared state; the second time it changes nothing and writes no audit row',
  async (t) => {
    const { cli, apply, run } = await prepared(t as Test)
    const { changes } = await apply(DOCUMENT)
    t.same(summary({ changes }), [
      'create api https://orders.example',
      'create role clerk',
      'create client shop',
      'create client page',
      'create user alice',
    ])
    t.match(changes[0]?.fields, { access_token_ttl: { to: 300 } }, 'in the units of the API')
    const before = await traces(cli)
    t.match(before.state, [
      [
        {
          name: 'Orders',
          scopes: ['orders:read', 'orders:write'],
          scopeTexts: { 'orders:read': 'See your orders' },
        },
      ],
      [{ name: 'clerk' }],
      [
        { id: 'page', authMethod: 'none' },
        { id: 'shop', scopes: ['openid', 'orders:read'] },
      ],
      [{ username: 'alice', email: 'alice@example.com', roles: ['clerk'], passwordHash: null }],
    ])
    const shop = await cli.withStore(({ clients }) => clients.find('shop'))
    t.match(await verifyPassword(withSecretHash(shop)?.secretHash ?? '', SECRET), { ok: true })

    t.same(await apply(DOCUMENT), { changes: [] })
    t.match(await run(), { code: 0, out: 'nothing to change\n' })
    t.match(await run('--prune'), { code: 0, out: 'nothing to change\n' })
    t.same(await traces(cli), before)
  },
)

t.test('a member that is left out is reset; a disabled client and the names of people stay', async (t) => {
  const { cli, apply } = await prepared(t as Test)
  await apply(DOCUMENT)
  await cli.json(['users', 'update', 'alice', '--name', 'Alice'])
  await cli.json(['clients', 'disable', 'page'])
  await cli.json([
    'clients',
    'update',
    'shop',
    '--first-party',
    '--access-token-ttl',
    '1m',
    '--pkce',
    'required',
  ])
  const { changes } = await apply(DOCUMENT)
  t.same(changes, [
    {
      kind: 'client',
      id: 'shop',
      action: 'update',
      fields: {
        pkce: { from: 'required', to: 'optional' },
        first_party: { from: true, to: false },
        access_token_ttl: { from: 60, to: null },
      },
    },
  ])
  t.match(await cli.json(['users', 'show', 'alice']), { name: 'Alice' })
  const enabled = DOCUMENT.replace('client_name: Page', 'client_name: Page\n    disabled: false')
  t.match(await apply(enabled), {
    changes: [{ id: 'page', fields: { disabled: { from: true, to: false } } }],
  })
  t.match(await cli.json(['clients', 'show', 'page']), { disabled: false })
  const disabled = DOCUMENT.replace('client_name: Page', 'client_name: Start page\n    disabled: true')
  t.match(await apply(disabled), { changes: [{ id: 'page', fields: { client_name: { to: 'Start page' } } }] })
  t.match(await cli.json(['clients', 'show', 'page']), { disabled: true, client_name: 'Start page' })
  const born = { client_id: 'born', client_name: 'Born', grant_types: ['client_credentials'], disabled: true }
  await apply({ clients: [{ ...born, secret: { generate: true } }] })
  t.match(await cli.json(['clients', 'show', 'born']), { disabled: true })
})

t.test(
  '--prune deletes what the document does not have, except users; on a terminal it asks first',
  async (t) => {
    const { cli, apply, save } = await prepared(t as Test)
    await apply(DOCUMENT)
    const rest =
      'clients:\n  - { client_id: page, client_name: Page, token_endpoint_auth_method: none, grant_types: [authorization_code], redirect_uris: [https://page.example/callback] }\n'
    t.same(await apply(rest), { changes: [] }, 'nothing is deleted without the option')
    save(rest)
    const questions: string[] = []
    const asked = await cli.run(['apply', '-f', 'keyturn.yaml', '--prune'], {
      interactive: true,
      confirm: async (question) => {
        questions.push(question)
        return false
      },
    })
    t.equal(asked.code, 1)
    t.same(questions, ['Delete client shop, role clerk, API https://orders.example?'])
    t.same(summary(await apply(rest, '--prune', '--dry-run')), [
      'delete client shop',
      'delete role clerk',
      'delete api https://orders.example',
    ])
    t.equal((await apply(rest, '--prune')).changes.length, 3)
    const [apis, roles, clients, users] = (await traces(cli)).state
    t.same([apis, roles], [[], []])
    t.match([clients, users], [[{ id: 'page' }], [{ username: 'alice', roles: [] }]])
  },
)

t.test(
  'secrets come from a file, the environment or the server, and only for a client that has none',
  async (t) => {
    const { cli, apply, refused, save, run } = await prepared(t as Test)
    const shop = { client_id: 'shop', client_name: 'Shop', grant_types: ['client_credentials'] }
    const withSecret = (secret: object) => ({ clients: [{ ...shop, secret }] })
    const file = join(cli.dir, 'shop.secret')
    const bad: readonly [object, RegExp, (() => void)?][] = [
      [{ from_file: 'shop.secret' }, /shop\.secret cannot be read \(ENOENT\)/],
      [
        { from_file: 'shop.secret' },
        /shop\.secret can be read by others: chmod 600/,
        () => writeFileSync(file, `${SECRET}\n`, { mode: 0o644 }),
      ],
      [{ from_env: 'NOT_SET' }, /the environment variable NOT_SET is not set/],
      [
        { from_file: 'shop.secret' },
        /more than one line/,
        () => {
          writeFileSync(file, 'two\nlines')
          chmodSync(file, 0o600)
        },
      ],
      [{ from_file: 'shop.secret' }, /secret must be 16 to 200/, () => writeFileSync(file, 'short')],
    ]
    const role = { roles: [{ name: 'other', scopes: ['x'] }] }
    for (const [secret, problem, prepare] of bad) {
      prepare?.()
      const answer = await refused({ ...withSecret(secret), ...role }, '--allow-unowned')
      t.match(answer, { code: 2, problems: [problem] })
      t.match(answer.problems?.[0], /^keyturn\.yaml:1:\d+: /)
    }
    t.match(await refused({ clients: [shop] }), { code: 1, problems: [/the client shop needs a secret/] })
    t.same((await traces(cli)).state, [[], [], [], []], 'and nothing was changed')

    writeFileSync(file, `${SECRET}\r\n`)
    save(withSecret({ from_file: 'shop.secret' }))
    const created = await run()
    t.equal(created.code, 0)
    t.notMatch(created.out + created.err, SECRET)
    const before = await traces(cli)
    writeFileSync(file, 'another secret that is long enough')
    t.same(await apply(withSecret({ from_file: 'shop.secret' })), { changes: [] })
    t.same(await apply(withSecret({ from_env: 'NOT_SET' })), { changes: [] }, 'the reference is not read')
    t.same(await apply({ clients: [shop] }), { changes: [] })
    t.same(await traces(cli), before)

    const robot = { ...shop, client_id: 'robot', secret: { generate: true } }
    const { changes } = await apply({ clients: [robot] })
    t.match(changes, [{ id: 'robot', client_secret: /^\S{40,}$/ }])
    save({ clients: [{ ...robot, client_id: 'second' }] })
    const { out, err } = await run()
    t.match(out, /^ {4}client_secret +\S{40,}$/m)
    t.match(err, 'shown only once')
  },
)

t.test('values that the server stores in another form are compared in that form', async (t) => {
  const { cli, apply } = await prepared(t as Test)
  const jwk = { ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }), key_ops: ['verify'] }
  const shop = {
    client_id: 'shop',
    client_name: 'Shop',
    grant_types: ['client_credentials'],
    secret: { generate: true },
  }
  const apis = [{ identifier: 'https://orders.example', name: ' Orders ', scopes: ['s', 's'] }]
  await apply({ apis, clients: [shop] })
  const document = {
    apis: [{ ...apis[0], identifier: 'https://orders.example/' }],
    clients: [
      {
        ...shop,
        client_name: 'Das  Geschäft',
        token_endpoint_auth_method: 'client_secret_basic',
        jwks: { keys: [jwk] },
        introspects: ['https://orders.example/'],
        scope: 's  s',
      },
    ],
    users: [{ username: 'ALICE', roles: [] }],
  }
  await apply(document)
  t.match(await cli.json(['clients', 'show', 'shop']), {
    client_name: 'Das Geschäft',
    token_endpoint_auth_method: 'client_secret_basic',
    introspects: ['https://orders.example'],
    scope: 's',
  })
  t.same(await apply(document), { changes: [] })
  const withKeys = { ...document.clients[0], token_endpoint_auth_method: undefined, secret: undefined }
  t.match(await apply({ clients: [withKeys] }), {
    changes: [{ fields: { token_endpoint_auth_method: { to: 'private_key_jwt' } } }],
  })
})

t.test('a scope moves from one API to another in one run', async (t) => {
  const { cli, apply, refused } = await prepared(t as Test)
  const api = (name: string, ...scopes: string[]) => ({ identifier: `https://${name}.example`, scopes })
  await apply({ apis: [api('a', 's', 'x'), api('b', 't', 'y')] })
  const swapped = { apis: [api('a', 't', 'x'), api('b', 's', 'y')] }
  t.same(summary(await apply(swapped)).sort(), [
    'update api https://a.example',
    'update api https://b.example',
  ])
  t.match((await stored(cli))[0], [{ scopes: ['t', 'x'] }, { scopes: ['s', 'y'] }])
  t.same(await apply(swapped), { changes: [] })
  const c = { apis: [api('c', 's')] }
  t.match(await refused(c), { code: 1, problems: [/s is a scope of https:\/\/b\.example, which is not in/] })
  await apply(c, '--prune')
  t.match((await stored(cli))[0], [{ identifier: 'https://c.example', scopes: ['s'] }])
})

t.test('a change that another administrator makes in between is not overwritten', async (t) => {
  const { cli, apply, save } = await prepared(t as Test)
  await apply(DOCUMENT)
  await cli.json(['roles', 'create', 'extra', '--scope', 'orders:read'])
  save(DOCUMENT.replace('orders:read, orders:write] }', 'orders:read] }'))
  const outcome = await cli.run(['apply', '-f', 'keyturn.yaml', '--prune'], {
    interactive: true,
    confirm: async () => {
      await cli.json(['roles', 'update', 'clerk', '--require-second-factor'])
      return true
    },
  })
  t.equal(outcome.code, 1)
  t.match(outcome.err, /^keyturn: keyturn\.yaml:\d+:\d+: the role clerk has changed since it was compared/m)
  t.match(await cli.withStore(({ roles }) => roles.find('clerk')), {
    scopes: ['orders:read', 'orders:write'],
    requireSecondFactor: true,
  })
})

t.test(
  'if a change is refused, those before it are reported, and applying again goes on from there',
  async (t) => {
    const { refused, apply } = await prepared(t as Test)
    const clients = [
      {
        client_id: 'robot',
        client_name: 'Robot',
        grant_types: ['client_credentials'],
        secret: { generate: true },
      },
    ]
    const bad = {
      client_id: 'bad',
      client_name: 'Bad',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code'],
      redirect_uris: ['https://shop.example/callback'],
      // Nothing can be fetched from there.
      logo_uri: 'https://127.0.0.1:9/logo.png',
    }
    const answer = await refused({ clients: [...clients, bad] })
    t.match(
      answer.error,
      /^keyturn\.yaml:1:\d+: the client bad: .*\(1 change before this one was made; apply the document again\)$/,
    )
    t.match(answer.changes, [{ id: 'robot', client_secret: /^\S{40,}$/ }], 'the secret is not lost')
    const { logo_uri, ...good } = bad
    t.same(summary(await apply({ clients: [...clients, good] })), ['create client bad'])
  },
)

t.test(
  'a document does not take the role from the last administrator, and what is built in is not its own',
  async (t) => {
    const { cli, apply, refused } = await prepared(t as Test)
    const config = { issuer: 'http://localhost:3000', admin: true }
    await cli.withStore((store) => ensureBuiltIns({ store, clock: cli.clock, config }))
    await apply({ users: [{ username: 'root', roles: [ADMIN_ROLE] }] }, '--prune')
    const before = await traces(cli)
    t.match(await refused({ users: [{ username: 'root', roles: [] }] }), {
      code: 1,
      error: /^keyturn\.yaml:1:\d+: .*root/,
    })
    t.match(await refused({ roles: [{ name: ADMIN_ROLE, scopes: ['admin:read'] }] }), {
      code: 2,
      problems: [/the role keyturn-admin is built in and cannot be declared/],
    })
    t.same(await cli.json(['dump']), { users: [{ username: 'root', roles: [ADMIN_ROLE] }] })
    t.same(await traces(cli), before)
  },
)

t.test('killed half way, applying again ends in the declared state', async (t) => {
  const folder = emptyFolder(t as Test)
  await withOpened(folder, async () => {})
  writeFileSync(join(folder.path, 'shop.secret'), SECRET, { mode: 0o600 })
  const file = join(folder.path, 'keyturn.yaml')
  writeFileSync(file, DOCUMENT.replace('from_env: SHOP_SECRET', 'from_file: shop.secret'))
  for (const nth of [1, 2]) {
    const failAt = { name: 'apply:changed', nth } as const
    const killed = await keyturn(folder, ['apply', '-f', file], { failAt })
    t.equal(killed.signal, 'SIGKILL', killed.stderr)
    t.equal(killed.stdout.match(/^\+ /gm)?.length, nth, 'what was done has been printed')
  }
  const last = await commandIn(folder, ['apply', '-f', file, '--json'])
  t.same(summary(JSON.parse(last.stdout)), ['create client page', 'create user alice'])
  const again = await commandIn(folder, ['apply', '-f', file, '--prune'])
  t.equal(again.stdout, 'nothing to change\n')
})

t.test(
  'what dump prints can be applied and changes nothing, here; elsewhere it makes the same',
  async (t) => {
    const { cli, apply } = await prepared(t as Test)
    await apply(DOCUMENT)
    await cli.json(['clients', 'disable', 'page'])
    await cli.json(['users', 'update', 'alice', '--name', 'Ålice "A" 🏴󠁧󠁢󠁳󠁣󠁴󠁿: yes'])
    const { out } = await cli.run(['dump'])
    t.match(parse(out), {
      apis: [
        { identifier: 'https://orders.example', access_token_ttl: '5m', scopes: { 'orders:write': null } },
      ],
      clients: [
        { client_id: 'page', disabled: true },
        { client_id: 'shop', secret: { generate: true } },
      ],
      users: [{ username: 'alice', name: 'Ålice "A" 🏴󠁧󠁢󠁳󠁣󠁴󠁿: yes', roles: ['clerk'] }],
    })
    t.same(parse(out), await cli.json(['dump']))
    t.notMatch(out, /argon2|sha256|client_secret|password/)
    const before = await traces(cli)
    const again = await cli.run(['apply', '-f', '-', '--prune'], { input: out })
    t.match(again, { code: 0, out: 'nothing to change\n' })
    t.same(await traces(cli), before)
    t.equal((await cli.json<DocumentView>(['dump', '--no-users'])).users, undefined)

    const other = await startedCli(t as Test)
    await other.run(['apply', '-f', '-'], { input: out })
    t.equal((await other.run(['dump'])).out, out)
  },
)

const SCOPES = ['s1', 's2', 's3', 's4']
const documents: fc.Arbitrary<DocumentView> = fc.record({
  apis: fc
    .array(fc.constantFrom('a', 'b', null), { minLength: SCOPES.length, maxLength: SCOPES.length })
    .map((owners) =>
      ['a', 'b']
        .map((name) => ({
          identifier: `https://${name}.example`,
          scopes: SCOPES.filter((_, i) => owners[i] === name),
        }))
        .filter(({ scopes }) => scopes.length > 0),
    ),
  roles: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('r1', 'r2'),
      scopes: fc.subarray(SCOPES, { minLength: 1 }),
      require_second_factor: fc.boolean(),
    }),
    { selector: ({ name }) => name },
  ),
  clients: fc.uniqueArray(
    fc.record(
      {
        client_id: fc.constantFrom('c1', 'c2', 'c3'),
        client_name: fc.constantFrom('One', 'Zwei  Worte'),
        token_endpoint_auth_method: fc.constantFrom('client_secret_basic', 'client_secret_post', 'none'),
        grant_types: fc.constantFrom(['authorization_code', 'refresh_token'], ['authorization_code']),
        redirect_uris: fc.subarray(['https://a.example/cb', 'https://b.example/cb'], { minLength: 1 }),
        scope: fc.subarray([...SCOPES, 'openid']).map((list) => list.join(' ')),
        post_logout_redirect_uris: fc.subarray(['https://a.example/out']),
        backchannel_logout_uri: fc.constant('https://a.example/logout'),
        client_uri: fc.constant('https://a.example/'),
        first_party: fc.boolean(),
        require_second_factor: fc.boolean(),
        claims_in_id_token: fc.boolean(),
        access_token_ttl: fc.constantFrom('90s', '5m'),
        roles_claim: fc.constantFrom('roles', 'groups'),
        disabled: fc.boolean(),
      },
      { requiredKeys: ['client_id', 'client_name', 'grant_types', 'redirect_uris'] },
    ),
    { selector: ({ client_id }) => client_id },
  ),
})

t.test(
  'from any state, apply reaches the declared state, and dump gives a document that changes nothing',
  async (t) => {
    const { cli, save } = await prepared(t as Test)
    const flags = ['apply', '-f', 'keyturn.yaml', '--prune', '--allow-unowned', '--json']
    await fc.assert(
      fc.asyncProperty(documents, async (given) => {
        const clients = (given.clients ?? []).map((client) =>
          client.token_endpoint_auth_method === 'none' ? client : { ...client, secret: { generate: true } },
        )
        save({ ...given, clients })
        const first = await cli.run(flags)
        // An exchange of all scopes is refused as a whole.
        if (first.code !== 0 && !first.out.includes('exchange all its scopes')) throw new Error(first.err)
        if (first.code === 0) {
          const second = await cli.run(flags)
          if (second.out !== '{"changes":[]}\n') throw new Error(`the second time: ${second.out}`)
        }
        const third = await cli.run(['apply', '-f', '-', '--prune', '--json'], {
          input: (await cli.run(['dump'])).out,
        })
        if (third.out !== '{"changes":[]}\n') throw new Error(`the dump: ${third.out}${third.err}`)
      }),
      { numRuns: 12 },
    )
  },
)
