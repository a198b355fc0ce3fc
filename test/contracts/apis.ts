import type { Api } from '../../src/store/contracts/apis.ts'
import { api, ORDERS, STOCK } from '../support/server/seed.ts'
import { type Contract, winners } from './contract.ts'
import { createLanes } from './ring.ts'
import { updateContract } from './update.ts'

const stock = api({
  identifier: STOCK,
  scopes: ['stock:read', 'stock:write'],
  accessTokenTtl: 60,
  createdAt: 2,
})

export const apisContract: Contract = {
  'find returns every member of an inserted API, with the scopes in order': async (t, { apis, ring }) => {
    await createLanes({ ring }, 'EdDSA')
    const orders = api({ scopes: ['z', 'a', 'm'], accessTokenTtl: 300, signingAlg: 'EdDSA' })
    t.equal(await apis.insert(orders), true)
    t.same(await apis.find(ORDERS), orders)
    t.equal(await apis.find(STOCK), null)
  },

  'an API may have no scopes and no access token lifetime': async (t, { apis }) => {
    const bare = api({ scopes: [] })
    t.equal(await apis.insert(bare), true)
    t.same(await apis.find(ORDERS), bare)
    t.same(await apis.list(), [bare])
  },

  'list returns all APIs, oldest first': async (t, { apis }) => {
    t.same(await apis.list(), [])
    await apis.insert(stock)
    await apis.insert(api())
    t.same(await apis.list(), [api(), stock])
  },

  'page returns APIs in the order of list, part by part, with all their scopes': async (t, { apis }) => {
    await apis.insert(api({ scopes: ['z', 'a'], createdAt: 5 }))
    await apis.insert({ ...stock, createdAt: 5 })
    await apis.insert(api({ identifier: 'https://first.test', scopes: [], createdAt: 3 }))
    const all = await apis.list()
    t.same(await apis.page(null, 2), all.slice(0, 2))
    t.same(await apis.page(all[1] ?? null, 9), all.slice(2))
    t.same(await apis.page(all[2] ?? null, 9), [])
  },

  'owners returns the API of each scope that one owns': async (t, { apis }) => {
    await apis.insert(api({ scopes: ['a', 'b'] }))
    await apis.insert({ ...stock, scopes: ['c'] })
    const many = Array.from({ length: 1200 }, (_, i) => `nothing${i}`)
    const owners = await apis.owners(['a', 'd', ...many, 'c'])
    t.same(
      [...owners],
      [
        ['a', ORDERS],
        ['c', STOCK],
      ],
    )
    t.same([...(await apis.owners([]))], [])
  },

  'insert returns false and changes nothing if the identifier is taken': async (t, { apis }) => {
    await apis.insert(api())
    t.equal(await apis.insert(api({ scopes: ['other'], accessTokenTtl: 9 })), false)
    t.same(await apis.list(), [api()])
  },

  'insert returns false and changes nothing if another API owns a scope (RFC 9068 §3; docs/security.md H88)':
    async (t, { apis }) => {
      await apis.insert(api())
      t.equal(await apis.insert({ ...stock, scopes: ['stock:read', 'orders:read'] }), false)
      t.same(await apis.list(), [api()])
      t.equal(await apis.insert(stock), true, 'the scopes that were free still are')
    },

  'every verb finds an API by each URI that names it, and only one can be registered (RFC 3986 §6.2.3)':
    async (t, { apis }) => {
      await apis.insert(api())
      const slashed = `${ORDERS}/`
      t.same(await apis.find(slashed), api())
      t.equal(await apis.find(`${ORDERS}//`), null)
      t.equal(await apis.insert(api({ identifier: slashed, scopes: ['other'] })), false)
      t.match(await apis.update(slashed, (one) => ({ ...one, accessTokenTtl: 60 })), { updated: true })
      t.same(await apis.list(), [api({ accessTokenTtl: 60, revision: 2 })])
      t.equal(await apis.delete(slashed), true)
      t.same(await apis.list(), [])
      t.equal(await apis.insert(api({ identifier: slashed })), true)
      t.match(await apis.find(ORDERS), { identifier: slashed })
    },

  'update changes the scopes, the lifetime and the algorithm of an API': async (t, { apis, ring }) => {
    await createLanes({ ring }, 'PS256')
    await apis.insert(api())
    const changed = api({
      scopes: ['orders:delete', 'orders:read'],
      accessTokenTtl: 120,
      signingAlg: 'PS256',
      revision: 2,
    })
    t.match(await apis.update(ORDERS, () => changed), { updated: true })
    t.same(await apis.find(ORDERS), changed)
  },

  'insert and update refuse an algorithm for which the ring has no lane': async (t, { apis, ring }) => {
    await createLanes({ ring })
    t.equal(await apis.insert(api({ signingAlg: 'ES256' })), false)
    t.same(await apis.list(), [])
    await apis.insert(api({ signingAlg: 'RS256' }))
    t.same(await apis.update(ORDERS, (one) => ({ ...one, signingAlg: 'ES256' })), {
      updated: false,
      reason: 'conflict',
    })
    t.match(await apis.find(ORDERS), { signingAlg: 'RS256', revision: 1 })
  },

  'an API has a name, and its scopes have texts': async (t, { apis }) => {
    const shown = api({
      name: 'Orders',
      scopes: ['read', '__proto__', 'plain'],
      scopeTexts: Object.fromEntries([
        ['read', 'See your orders'],
        ['__proto__', 'A text'],
      ]),
    })
    await apis.insert(shown)
    t.same(await apis.find(ORDERS), shown)
    const [listed] = await apis.list()
    t.same(Object.entries(listed?.scopeTexts ?? {}), Object.entries(shown.scopeTexts))
    await apis.update(ORDERS, (one) => ({ ...one, name: null, scopes: ['read', 'plain'] }))
    const { scopeTexts } = shown
    t.same(
      await apis.find(ORDERS),
      api({ scopes: ['read', 'plain'], scopeTexts: { read: scopeTexts.read ?? '' }, revision: 2 }),
      'the text of a scope that was removed is gone',
    )
    await apis.update(ORDERS, (one) => ({ ...one, scopeTexts: { plain: 'Plain' } }))
    t.same((await apis.find(ORDERS))?.scopeTexts, { plain: 'Plain' })
  },

  'update reports a conflict and changes nothing if another API owns a scope': async (t, { apis }) => {
    await apis.insert(api())
    await apis.insert(stock)
    const conflict = { updated: false, reason: 'conflict' }
    const wanted = api({ scopes: ['new', 'stock:read'], accessTokenTtl: 1 })
    t.same(await apis.update(ORDERS, () => wanted), conflict)
    t.same(await apis.list(), [api(), stock])
  },

  ...updateContract<Api>({
    rows: ({ apis }) => apis,
    insert: async ({ apis }) => {
      await apis.insert(api())
      return ORDERS
    },
    changes: [{ accessTokenTtl: 60 }, { scopes: ['orders:read', 'orders:delete'] }],
    add: (row, number) => ({ ...row, scopes: [...row.scopes, `s${number}`] }),
    added: ({ scopes }) => scopes.length,
    kept: { identifier: STOCK },
  }),

  'delete with a revision deletes the API only if it has this revision': async (t, { apis }) => {
    await apis.insert(api())
    await apis.update(ORDERS, (row) => ({ ...row, accessTokenTtl: 60 }))
    t.equal(await apis.delete(ORDERS, 1), false)
    t.match(await apis.find(ORDERS), { revision: 2 })
    t.equal(await apis.delete(ORDERS, 2), true)
    t.equal(await apis.find(ORDERS), null)
  },

  'delete frees the identifier and the scopes, and returns false if there is no such API': async (
    t,
    { apis },
  ) => {
    await apis.insert(api())
    t.equal(await apis.delete(ORDERS), true)
    t.equal(await apis.find(ORDERS), null)
    t.equal(await apis.delete(ORDERS), false)
    t.equal(await apis.insert({ ...stock, scopes: [...api().scopes] }), true)
  },

  'of fifty concurrent inserts of APIs with one scope, one succeeds and the others insert nothing': async (
    t,
    { apis },
  ) => {
    const make = (i: number) => api({ identifier: `https://api${i}.test`, scopes: [`own${i}`, 'shared'] })
    t.same(await winners(50, (i) => apis.insert(make(i))), { won: 1, lost: 49 })
    const [only, ...rest] = await apis.list()
    t.same(rest, [])
    t.equal(only?.scopes.length, 2)
  },
}
