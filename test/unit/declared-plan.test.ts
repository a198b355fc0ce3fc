/** The plan between a declared state and a server, on a model of the server that refuses what the store refuses. */
import fc from 'fast-check'
import t from 'tap'
import { byKey, keyOf, type Resource, type Step } from '../../src/admin/declared/changes.ts'
import type { DocumentView } from '../../src/admin/declared/document.schema.ts'
import { DocumentError } from '../../src/admin/declared/document-error.ts'
import { entriesOf } from '../../src/admin/declared/entries.ts'
import { type Fields, KIND_RULES, KINDS, type Kind } from '../../src/admin/declared/kinds.ts'
import { plan } from '../../src/admin/declared/plan.ts'

const declare = (value: DocumentView) => entriesOf({ value, placeOf: (path) => path.join('.') })

const OPTIONS = { prune: false, allowUnowned: false }
const PRUNE = { ...OPTIONS, prune: true }

type Model = Record<Kind, Map<string, Resource>>

function serverWith(resources: Partial<Record<Kind, readonly Fields[]>>): Model {
  const kind = (name: Kind) =>
    new Map(
      byKey(
        name,
        (resources[name] ?? []).map((value) => ({ value, revision: 1 })),
      ),
    )
  return { api: kind('api'), role: kind('role'), client: kind('client'), user: kind('user') }
}

const scopesOf = (resource: Resource | undefined) => (resource?.value.scopes ?? []) as string[]

/** What a verb does. @throws if the store would refuse it */
function run(server: Model, { change: { kind, id }, action, body }: Step): void {
  const key = keyOf(kind, id)
  const existing = server[kind].get(key)
  if ((action === 'create') === (existing !== undefined)) throw new Error(`${action} ${kind} ${id}`)
  if (action === 'delete') {
    server[kind].delete(key)
    return
  }
  const value = { ...(existing?.value ?? { [KIND_RULES[kind].id]: id }), ...body }
  if (kind === 'api') {
    if ((value.scopes as string[]).length === 0) throw new Error(`${id} without scopes`)
    for (const [other, resource] of server.api)
      if (other !== key && scopesOf(resource).some((scope) => (value.scopes as string[]).includes(scope)))
        throw new Error(`${id} and ${other} would share a scope`)
  }
  server[kind].set(key, { value, revision: (existing?.revision ?? 0) + 1 })
}

const summary = (steps: readonly Step[]) =>
  steps.map(({ change, action }) => `${action} ${change.kind} ${change.id}`)

const CLERK = { name: 'clerk', scopes: ['orders:read'], require_second_factor: false }
const ORDERS = { identifier: 'https://orders.example', scopes: ['orders:read', 'orders:write'] }

/** The error of what must be refused. */
function refusal(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    if (error instanceof DocumentError) return error
    throw error
  }
}

t.test('what others need is created first, and deleted last', async (t) => {
  const entries = declare({
    users: [{ username: 'alice', roles: ['clerk'] }],
    clients: [
      { client_id: 'shop', client_name: 'Shop', grant_types: ['refresh_token'], secret: { generate: true } },
    ],
    roles: [CLERK],
    apis: [ORDERS],
  })
  t.same(summary(plan(entries, serverWith({}), OPTIONS)), [
    'create api https://orders.example',
    'create role clerk',
    'create client shop',
    'create user alice',
  ])
  const server = serverWith({
    api: [ORDERS],
    role: [CLERK],
    client: [{ client_id: 'shop' }],
    user: [{ username: 'alice', roles: ['clerk'] }],
  })
  t.same(plan(declare({}), server, OPTIONS), [], 'what the document does not name is left alone')
  t.same(
    summary(plan(declare({}), server, PRUNE)),
    ['delete client shop', 'delete role clerk', 'delete api https://orders.example'],
    'and pruned on request, except people',
  )
})

t.test(
  'a member that is left out has its default, except for what belongs to people and operators',
  async (t) => {
    const server = serverWith({
      role: [{ ...CLERK, require_second_factor: true }],
      client: [
        {
          client_id: 'shop',
          client_name: 'Shop',
          token_endpoint_auth_method: 'none',
          grant_types: ['refresh_token'],
          scope: 'b a',
          redirect_uris: ['https://shop.example/cb'],
          pkce: 'required',
          claims_in_id_token: true,
          roles_claim: 'roles',
          first_party: true,
          disabled: true,
        },
      ],
      user: [{ username: 'alice', roles: [], name: 'Alice', email: 'alice@example.com' }],
    })
    const steps = plan(
      declare({
        roles: [{ name: 'clerk', scopes: ['orders:read'] }],
        clients: [
          {
            client_id: 'shop',
            client_name: 'Shop',
            token_endpoint_auth_method: 'none',
            grant_types: ['refresh_token'],
            scope: 'a b',
          },
        ],
        users: [{ username: 'alice', roles: [] }],
      }),
      server,
      OPTIONS,
    )
    t.same(
      steps.map(({ body }) => body),
      [{ require_second_factor: false }, { redirect_uris: [], first_party: false }],
    )
  },
)

t.test('an API loses scopes after the roles and clients that had them', async (t) => {
  const server = serverWith({ api: [ORDERS], role: [{ ...CLERK, scopes: ['orders:read', 'orders:write'] }] })
  const entries = declare({ apis: [{ ...ORDERS, scopes: ['orders:read'] }], roles: [CLERK] })
  t.same(summary(plan(entries, server, OPTIONS)), ['update role clerk', 'update api https://orders.example'])
})

t.test('a scope leaves one API before another gets it (RFC 9068 §3)', async (t) => {
  const api = (identifier: string, ...scopes: string[]) => ({ identifier, scopes })
  const moves: readonly [string, Fields[], ReturnType<typeof api>[], string[]][] = [
    ['one moves', [api('a', 's', 't'), api('b', 'u')], [api('b', 'u', 's'), api('a', 't')], ['a', 'b']],
    ['to a new API', [api('a', 's', 't')], [api('new', 's'), api('a', 't')], ['a', 'new']],
    ['from a pruned one', [api('old', 's')], [api('new', 's')], ['old', 'new']],
    ['in part from a pruned one', [api('old', 's', 't')], [api('new', 's')], ['old', 'new', 'old']],
    [
      'along a chain',
      [api('a', 's', 'x'), api('b', 't')],
      [api('c', 't'), api('b', 's'), api('a', 'x')],
      ['a', 'b', 'c'],
    ],
    [
      'in both directions',
      [api('a', 's', 'x'), api('b', 't', 'y')],
      [api('a', 't', 'x'), api('b', 's', 'y')],
      ['a', 'b', 'a'],
    ],
  ]
  for (const [title, before, after, order] of moves) {
    const server = serverWith({ api: before })
    const steps = plan(declare({ apis: after }), server, PRUNE)
    t.same(
      steps.map(({ change }) => change.id),
      order,
      title,
    )
    for (const step of steps) run(server, step)
    t.same(plan(declare({ apis: after }), server, PRUNE), [], `${title}: the second time changes nothing`)
  }
  const all = serverWith({ api: [api('a', 's'), api('b', 't')] })
  t.match(
    refusal(() => plan(declare({ apis: [api('a', 't'), api('b', 's')] }), all, OPTIONS)),
    {
      problems: [/^apis\.0\.scopes: a would exchange all its scopes/, /^apis\.1/],
      exitCode: 1,
    },
  )
})

t.test('what cannot be true on this server is refused at once, with its places', async (t) => {
  const server = serverWith({
    api: [ORDERS],
    role: [CLERK],
    client: [
      {
        client_id: 'page',
        client_name: 'Page',
        token_endpoint_auth_method: 'none',
        grant_types: ['refresh_token'],
      },
    ],
  })
  const entries = declare({
    apis: [{ identifier: 'https://other.example', scopes: ['orders:read'] }],
    roles: [{ name: 'boss', scopes: ['orders:raed'] }],
    clients: [
      {
        client_id: 'shop',
        client_name: 'Shop',
        grant_types: ['refresh_token'],
        introspects: ['https://nowhere.example'],
      },
      { client_id: 'page', client_name: 'Page', grant_types: ['refresh_token'] },
    ],
    users: [{ username: 'alice', roles: ['clerk', 'clark', 'keyturn-admin'] }],
  })
  t.match(
    refusal(() => plan(entries, server, OPTIONS)),
    {
      exitCode: 1,
      problems: [
        'clients.0: the client shop needs a secret: { from_file: … }, { from_env: … } or { generate: true }',
        'clients.1: the client page needs a secret: { from_file: … }, { from_env: … } or { generate: true }',
        /^apis\.0\.scopes: orders:read is a scope of https:\/\/orders\.example, which is not in the document/,
        /^roles\.0\.scopes: no API has the scope orders:raed/,
        'users.0.roles: there is no role clark',
        'clients.0.introspects: there is no API https://nowhere.example',
      ],
    },
  )
  t.match(
    refusal(() => plan(declare({ users: [{ username: 'alice', roles: ['clerk'] }] }), server, PRUNE)),
    {
      problems: ['users.0.roles: there is no role clerk'],
    },
  )
})

t.test('what breaks a rule is refused before anything else, with its place', async (t) => {
  const client = { client_id: 'c', client_name: 'C', grant_types: ['authorization_code'] }
  const documents: readonly [DocumentView, RegExp][] = [
    [{ apis: [{ identifier: 'two words', scopes: ['s'] }] }, /^apis\.0\.identifier: identifier must be/],
    [{ apis: [{ identifier: 'urn:a', scopes: [] }] }, /^apis\.0\.scopes: an API needs at least one scope/],
    [{ roles: [{ name: 'two words', scopes: ['s'] }] }, /^roles\.0: a role name must be/],
    [{ roles: [{ name: 'r', scopes: ['openid'] }] }, /^roles\.0: openid is a scope of the protocol/],
    [{ clients: [client] }, /^clients\.0\.redirect_uris: authorization_code needs a redirect URI/],
    [{ clients: [{ ...client, redirect_uris: ['http://a.example/'] }] }, /^clients\.0\.redirect_uris: /],
    [
      { clients: [{ ...client, grant_types: ['implicit'] }] },
      /^clients\.0\.grant_types: grant must be one of/,
    ],
    [{ users: [{ username: ' ', roles: [] }] }, /^users\.0\.username: username must be/],
    [{ users: [{ username: 'a', email: 'a', roles: [] }] }, /^users\.0\.email: email must be an address/],
  ]
  for (const [value, problem] of documents)
    t.match(
      refusal(() => plan(declare(value), serverWith({}), OPTIONS)),
      { problems: [problem], exitCode: 2 },
    )
  const old = {
    client_id: 'c',
    client_name: 'C',
    grant_types: ['implicit'],
    pkce: 'optional',
    claims_in_id_token: true,
    roles_claim: 'roles',
    token_endpoint_auth_method: 'client_secret_basic',
  }
  const kept = declare({ clients: [{ ...client, grant_types: ['implicit'] }] })
  t.same(
    plan(kept, serverWith({ client: [old] }), OPTIONS),
    [],
    'what does not change may be older than the rule',
  )
})

t.test('a document that contradicts itself, or declares what is built in, is refused', async (t) => {
  const documents: readonly [DocumentView, string | RegExp][] = [
    [{ roles: [CLERK, CLERK] }, 'roles.1.name: the role clerk is declared twice'],
    [
      { apis: [ORDERS, { ...ORDERS, identifier: 'https://orders.example/', scopes: ['x'] }] },
      'apis.1.identifier: the API https://orders.example/ is declared twice',
    ],
    [{ apis: [ORDERS, { ...ORDERS, identifier: 'urn:x' }] }, /orders:read is a scope of https:\/\/orders/],
    [
      {
        users: [
          { username: 'Alice', roles: [] },
          { username: 'alice', roles: [] },
        ],
      },
      /declared twice/,
    ],
    [
      { roles: [{ ...CLERK, name: 'keyturn-admin' }] },
      'roles.0: the role keyturn-admin is built in and cannot be declared',
    ],
    [{ apis: [{ identifier: 'x', scopes: ['admin:read'] }] }, /the scope admin:read is built in/],
    [
      { apis: [{ ...ORDERS, access_token_ttl: '2d' }] },
      'apis.0.access_token_ttl: access_token_ttl must be between 1s and 24h',
    ],
    [
      {
        clients: [
          {
            client_id: 'a',
            client_name: 'A',
            grant_types: ['refresh_token'],
            token_endpoint_auth_method: 'none',
            secret: { generate: true },
          },
        ],
      },
      'clients.0.secret: a client that authenticates with none has no secret',
    ],
  ]
  for (const [value, problem] of documents)
    t.match(
      refusal(() => declare(value)),
      { problems: [problem], exitCode: 2 },
    )
})

const SCOPES = ['s1', 's2', 's3', 's4', 's5', 's6']
const scopeLists = fc.subarray(SCOPES, { minLength: 1 })

/** APIs that share no scope; each has at least one. */
const apis = fc
  .array(fc.constantFrom('a', 'b', 'c', 'd', null), { minLength: SCOPES.length, maxLength: SCOPES.length })
  .map((owners) =>
    ['a', 'b', 'c', 'd']
      .map((identifier) => ({ identifier, scopes: SCOPES.filter((_, i) => owners[i] === identifier) }))
      .filter(({ scopes }) => scopes.length > 0),
  )
const roles = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('r1', 'r2', 'r3'),
    scopes: scopeLists,
    require_second_factor: fc.boolean(),
  }),
  { selector: ({ name }) => name },
)
const clients = fc.uniqueArray(
  fc.record({
    client_id: fc.constantFrom('c1', 'c2', 'c3'),
    client_name: fc.constantFrom('One', 'Two'),
    token_endpoint_auth_method: fc.constantFrom('none', 'client_secret_basic'),
    grant_types: fc.constant(['refresh_token'] as string[]),
    scope: fc.subarray(SCOPES).map((list) => list.join(' ')),
    first_party: fc.boolean(),
  }),
  { selector: ({ client_id }) => client_id },
)
const states = fc.record({ apis, roles, clients })

t.test(
  'from any state, the steps are permitted and reach the declared state; a second plan is empty',
  async (t) => {
    let refused = 0
    fc.assert(
      fc.property(states, states, fc.boolean(), (before, after, prune) => {
        const server = serverWith({ api: before.apis, role: before.roles, client: before.clients })
        const secret = { generate: true } as const
        const entries = declare({
          ...after,
          clients: after.clients.map((client) =>
            client.token_endpoint_auth_method === 'none' ? client : { ...client, secret },
          ),
        })
        const options = { prune, allowUnowned: true }
        let steps: readonly Step[]
        try {
          steps = plan(entries, server, options)
        } catch (error) {
          // A scope of an API that is not in the document, or an exchange of all scopes.
          if (!(error instanceof DocumentError)) throw error
          refused += 1
          return
        }
        const untouched = KINDS.flatMap((kind) =>
          [...server[kind]].filter(
            ([key]) => !entries.some((one) => one.kind === kind && keyOf(kind, one.id) === key),
          ),
        )
        for (const step of steps) run(server, step)
        if (plan(entries, server, options).length > 0) throw new Error('the second plan is not empty')
        const left = KINDS.flatMap((kind) => [...server[kind]])
        for (const [key, resource] of untouched) {
          const stays = left.some(([other, now]) => other === key && now === resource)
          if (stays === prune) throw new Error(`${key} ${prune ? 'was not pruned' : 'was changed'}`)
        }
        for (const { kind, id, fields } of entries.filter(({ kind }) => kind === 'api')) {
          const stored = [...scopesOf(server[kind].get(keyOf(kind, id)))].sort()
          if (stored.join() !== [...(fields.scopes as string[])].sort().join())
            throw new Error(`scopes of ${id}`)
        }
      }),
      { numRuns: 2000 },
    )
    t.ok(refused < 1000, 'most pairs can be planned')
  },
)

t.test('killed after any step, applying again reaches the same state', async () => {
  fc.assert(
    fc.property(states, states, fc.nat(10), (before, after, killedAfter) => {
      const server = serverWith({ api: before.apis, role: before.roles })
      const entries = declare({ apis: after.apis, roles: after.roles })
      const options = { prune: true, allowUnowned: true }
      const applied = (steps: readonly Step[]) => {
        for (const step of steps) run(server, step)
      }
      try {
        applied(plan(entries, server, options).slice(0, killedAfter))
      } catch (error) {
        if (!(error instanceof DocumentError)) throw error
        return
      }
      applied(plan(entries, server, options))
      if (plan(entries, server, options).length > 0) throw new Error('it does not end')
    }),
    { numRuns: 1000 },
  )
})
