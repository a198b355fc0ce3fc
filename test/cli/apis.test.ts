import t from 'tap'
import { startedCli } from '../support/processes/cli.ts'

const ORDERS = 'https://orders.example'
const STOCK = 'https://stock.example'

t.test('an API is created, shown, updated and deleted, and each change is audited', async (t) => {
  const cli = await startedCli(t)
  const created = await cli.json(['apis', 'create', ORDERS, '--scope', 'read', '--scope', 'write read'])
  const api = {
    identifier: ORDERS,
    scopes: ['read', 'write'],
    access_token_ttl: null,
    created_at: cli.clock.now(),
  }
  t.same(created, api)
  t.same(await cli.json(['apis', 'list']), [api])
  t.same(await cli.json(['apis', 'show', ORDERS]), api)
  const updated = { ...api, scopes: ['read'], access_token_ttl: 300 }
  t.same(await cli.json(['apis', 'update', ORDERS, '--scope', 'read', '--access-token-ttl', '5m']), updated)
  const back = await cli.json(['apis', 'update', ORDERS, '--access-token-ttl', 'default'])
  t.same(back, { ...updated, access_token_ttl: null }, 'fields that are not given are unchanged')
  t.same(await cli.json(['apis', 'delete', ORDERS]), { deleted: ORDERS })
  t.same(await cli.json(['apis', 'list']), [])
  const audits = cli.logger.audits('api.changed')
  t.same(
    audits.map(({ actor, target, action }) => [actor, target, action]),
    ['created', 'updated', 'updated', 'deleted'].map((action) => ['operator:tester', ORDERS, action]),
  )
})

t.test(
  'commands find an API with or without the slash of an empty path, and name it as it is registered (RFC 3986 §6.2.3)',
  async (t) => {
    const cli = await startedCli(t)
    const slashed = `${ORDERS}/`
    await cli.json(['apis', 'create', ORDERS, '--scope', 'read'])
    const again = await cli.run(['apis', 'create', slashed, '--scope', 'write'])
    t.match(again, { code: 1, err: `keyturn: the API ${ORDERS} already exists\n` })
    t.match(await cli.json(['apis', 'show', slashed]), { identifier: ORDERS })
    const introspecting = [
      'clients',
      'create',
      '--name',
      'x',
      '--introspects',
      slashed,
      '--introspects',
      ORDERS,
    ]
    t.match(await cli.json(introspecting), { introspects: [ORDERS] })
    await cli.json(['apis', 'update', slashed, '--scope', 'write'])
    const deleted = await cli.run(['apis', 'delete', slashed])
    t.equal(deleted.out, `deleted ${ORDERS}\n`)
    t.match(deleted.err, `can no longer introspect the tokens of ${ORDERS}\n`)
    t.ok(cli.logger.audits('api.changed').every(({ target }) => target === ORDERS))
  },
)

t.test(
  'the issuer cannot be an API: tokens for no API, such as those of a sign-in, are for it (docs/security.md S1)',
  async (t) => {
    const cli = await startedCli(t)
    const issuer = 'http://localhost:3000'
    for (const identifier of [issuer, `${issuer}/`]) {
      const { code, err } = await cli.run(['apis', 'create', identifier, '--scope', 'read'])
      t.match({ code, err }, { code: 2, err: /^keyturn: the issuer cannot be an API: / }, identifier)
    }
    t.same(await cli.json(['apis', 'list']), [])
    await cli.json(['apis', 'create', `${issuer}/orders`, '--scope', 'read'])
  },
)

t.test('an API has an algorithm for its tokens, which can be reset to that of the ring', async (t) => {
  const cli = await startedCli(t)
  const api = 'https://orders.example'
  const created = await cli.json(['apis', 'create', api, '--scope', 'read', '--signing-alg', 'RS256'])
  t.match(created, { signing_alg: 'RS256' })
  t.match(await cli.json(['apis', 'update', api, '--add-scope', 'write']), { signing_alg: 'RS256' })
  const reset = await cli.json(['apis', 'update', api, '--no-signing-alg'])
  t.notOk('signing_alg' in (reset as object))
  t.match(await cli.json(['apis', 'update', api, '--signing-alg', 'RS256']), { signing_alg: 'RS256' })
  const { code, err } = await cli.run(['apis', 'update', api, '--signing-alg', 'HS256'])
  t.equal(code, 2)
  t.match(err, /Allowed choices are RS256, PS256, ES256, EdDSA/)
})

t.test('an API gets a name and texts for its scopes, which update changes one by one', async (t) => {
  const cli = await startedCli(t)
  const update = (...options: string[]) => cli.json(['apis', 'update', ORDERS, ...options])
  const scopes = ['--scope', 'read', '--scope', 'read=all', '--scope', 'write']
  const texts = ['--scope-text', 'read=See  your orders', '--scope-text', 'read=all=See all orders']
  const created = await cli.json(['apis', 'create', ORDERS, '--name', ' Orders ', ...scopes, ...texts])
  t.match(created, {
    name: 'Orders',
    scopes: ['read', 'read=all', 'write'],
    scope_texts: { read: 'See your orders', 'read=all': 'See all orders' },
  })
  t.same(await cli.json(['apis', 'show', ORDERS]), created)
  t.match(await update('--scope-text', 'write=Change = order', '--scope-text', 'read='), {
    name: 'Orders',
    scope_texts: { 'read=all': 'See all orders', write: 'Change = order' },
  })
  const removed = await update(
    '--remove-scope',
    'write',
    '--no-name',
    '--add-scope',
    'new',
    '--scope-text',
    'new=New',
  )
  t.same(removed.scope_texts, { 'read=all': 'See all orders', new: 'New' })
  t.notOk('name' in removed)

  for (const wrong of [
    ['--scope-text', 'unknown=A text'],
    ['--scope-text', 'read'],
    ['--scope-text', 'read=tab\tin it'],
    ['--scope-text', `read=${'x'.repeat(301)}`],
    ['--name', ''],
    ['--name', 'right-to-left \u202E'],
  ]) {
    const outcome = await cli.run(['apis', 'update', ORDERS, ...wrong])
    t.match(outcome, { code: 2, err: /^keyturn: [^\n]+\n$/ }, wrong.join(' '))
  }
  t.same(await cli.json(['apis', 'show', ORDERS]), removed)
})

t.test('terminal output is a table, and an empty list says so', async (t) => {
  const cli = await startedCli(t)
  t.equal((await cli.run(['apis', 'list'])).out, 'none\n')
  await cli.run(['apis', 'create', ORDERS, '--scope', 'read', '--access-token-ttl', '90m'])
  const { out, err } = await cli.run(['apis', 'list'])
  t.match(out, /^IDENTIFIER +SCOPES +ACCESS TOKEN TTL +CREATED\n/)
  t.match(out, /^https:\/\/orders\.example +read +1h 30m +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ\n$/m)
  t.equal(err, '')
})

t.test(
  'a scope belongs to one API, and the error names the API that already owns it (RFC 9068 §3)',
  async (t) => {
    const cli = await startedCli(t)
    await cli.json(['apis', 'create', ORDERS, '--scope', 'read'])
    await cli.json(['apis', 'create', STOCK, '--scope', 'count'])
    for (const args of [
      ['apis', 'create', 'https://other.example', '--scope', 'new', '--scope', 'read'],
      ['apis', 'update', STOCK, '--scope', 'read'],
    ]) {
      const { code, err } = await cli.run(args)
      t.equal(code, 1)
      t.match(err, `keyturn: the scope read belongs to ${ORDERS}`)
    }
    t.match((await cli.run(['apis', 'create', ORDERS, '--scope', 'x'])).err, 'already exists')
    t.same(await cli.json(['apis', 'show', STOCK]).then(({ scopes }) => scopes), ['count'])
    t.equal((await cli.json<unknown[]>(['apis', 'list'])).length, 2)
  },
)

t.test('an unknown API is refused, and invalid API input is a usage error', async (t) => {
  const cli = await startedCli(t)
  for (const verb of [['show'], ['update', '--access-token-ttl', '5m'], ['delete']]) {
    const { code, err } = await cli.run(['apis', ...verb, ORDERS])
    t.equal(code, 1, String(verb[0]))
    t.equal(err, `keyturn: there is no API ${ORDERS}\n`)
  }
  for (const args of [
    ['create', 'my orders', '--scope', 'a'],
    ['create', '', '--scope', 'a'],
    ['create', 'https://orders.example#v1', '--scope', 'a'],
    ['create', ORDERS],
    ['create', ORDERS, '--scope', ''],
    ['create', ORDERS, '--scope', 'openid'],
    ['create', ORDERS, '--scope', 'a"b'],
    ['create', ORDERS, '--scope', 'a', '--access-token-ttl', '5'],
    ['create', ORDERS, '--scope', 'a', '--access-token-ttl', '25h'],
    ['update', ORDERS],
  ]) {
    t.equal((await cli.run(['apis', ...args])).code, 2, args.join(' '))
  }
  t.same(
    cli.logger.audits().map(({ audit }) => audit),
    ['keys.created'],
    'nothing has changed since the first start',
  )
})

t.test('an update lists the clients and roles that still have scopes which the API gives up', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['apis', 'create', ORDERS, '--scope', 'read', '--scope', 'write'])
  const client = ['clients', 'create', '--id', 'shop', '--name', 'Shop', '--grant', 'client_credentials']
  await cli.json([...client, '--scope', 'write', '--introspects', ORDERS])
  await cli.json(['roles', 'create', 'clerk', '--scope', 'write'])
  const note = /^note: clients shop and roles clerk still have scopes .*: write\n/
  t.match((await cli.run(['apis', 'update', ORDERS, '--scope', 'read'])).err, note)
  t.equal((await cli.run(['apis', 'update', ORDERS, '--scope', 'read write'])).err, '')
  const { err } = await cli.run(['apis', 'delete', ORDERS])
  t.match(err, 'note: clients shop and roles clerk')
  t.match(err, `note: client shop can no longer introspect the tokens of ${ORDERS}\n`)
})

t.test('scopes are added to an API or removed from it one by one', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['apis', 'create', ORDERS, '--scope', 'read write'])
  await cli.json(['apis', 'create', 'https://stock.example', '--scope', 'stock'])
  const update = (...args: string[]) => cli.run(['apis', 'update', ORDERS, ...args, '--json'])
  t.match((await update('--add-scope', 'cancel', '--remove-scope', 'write')).json(), {
    scopes: ['read', 'cancel'],
  })
  t.match(await update('--remove-scope', 'write'), { code: 1, err: 'there is no scope write to remove' })
  t.match(await update('--add-scope', 'stock'), { code: 1, err: 'belongs to https://stock.example' })
  t.match(await update('--scope', 'a', '--add-scope', 'b'), { code: 2 })
  t.match(await update(), { code: 2, err: 'nothing to change: see npx keyturn apis update --help' })
  t.match(await cli.json(['apis', 'show', ORDERS]), { scopes: ['read', 'cancel'] })
})

t.test(
  'an identifier that clients cannot use as resource is accepted with a note that says what it is for (RFC 8707 §2)',
  async (t) => {
    const cli = await startedCli(t)
    for (const [identifier, scope] of [
      ['orders', 'a'],
      ['orders.example/v1', 'b'],
    ] as const) {
      const { code, err } = await cli.run(['apis', 'create', identifier, '--scope', scope])
      t.equal(code, 0)
      t.match(
        err,
        /^note: orders\S* is not an absolute URI such as \S+: tokens for the API have it as aud, .* resource/,
      )
    }
    for (const [identifier, scope] of [
      ['https://stock.example', 'c'],
      ['urn:example:mail', 'd'],
    ] as const)
      t.equal((await cli.run(['apis', 'create', identifier, '--scope', scope])).err, '')
  },
)
