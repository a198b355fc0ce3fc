import type { Ring, RingKey } from '../../src/store/contracts/ring.ts'
import type { Store } from '../../src/store/index.ts'
import { api, client } from '../support/server/seed.ts'
import { type Contract, winners } from './contract.ts'

export function ringKey(overrides: Partial<RingKey> = {}): RingKey {
  return {
    kid: 'active',
    alg: 'RS256',
    state: 'active',
    publicJwk: { kty: 'RSA', n: 'modulus', e: 'AQAB' },
    encryptedPrivateKey: 'v1.master.iv.text',
    createdAt: 100,
    publishedAt: 100,
    publishedIn: 1,
    signsFrom: 100,
    stoppedAt: null,
    tokensUntil: 0,
    leftAt: null,
    ...overrides,
  }
}

/** Keys in the order in which the store returns them: by publication, then by kid. */
export function ring(overrides: Partial<Ring> = {}): Ring {
  return {
    version: 1,
    createdAt: 100,
    defaultAlg: 'RS256',
    keys: [ringKey(), ringKey({ kid: 'next', state: 'next', signsFrom: null })],
    ...overrides,
  }
}

/** A ring with RS256 and these lanes, for what is signed in one of them. */
export const createLanes = (store: Pick<Store, 'ring'>, ...algs: string[]): Promise<boolean> =>
  store.ring.create(ring({ keys: [...ring().keys, ...algs.flatMap((alg) => lane(alg))] }))

/** The keys of a lane, in the order in which the store returns them. */
const lane = (alg: string, publishedIn = 1): RingKey[] => [
  ringKey({ kid: `x-${alg}-a`, alg, publishedIn }),
  ringKey({ kid: `x-${alg}-b`, alg, publishedIn, state: 'next', signsFrom: null }),
]

/** The keys of `lane()` after it was removed. */
const gone = (alg: string): RingKey[] =>
  lane(alg).map((key) => ({
    ...key,
    state: key.state === 'active' ? 'retiring' : 'retired',
    encryptedPrivateKey: null,
    stoppedAt: key.state === 'active' ? 200 : null,
    leftAt: key.state === 'active' ? null : 200,
  }))

/** The rotation of `ring()`: every column that may change has changed. */
const rotated = (fresh = 'fresh'): Ring => ({
  version: 2,
  createdAt: 100,
  defaultAlg: 'RS256',
  keys: [
    ringKey({ state: 'retiring', encryptedPrivateKey: null, stoppedAt: 200 }),
    ringKey({ kid: 'next', state: 'active', signsFrom: 200 }),
    ringKey({
      kid: fresh,
      state: 'next',
      signsFrom: null,
      createdAt: 200,
      publishedAt: 200,
      publishedIn: 2,
    }),
  ],
})

export const ringContract: Contract = {
  'read is null before the first start': async (t, store) => {
    t.equal(await store.ring.read(), null)
  },

  'read returns every member of a created ring': async (t, store) => {
    const full = ring({
      version: 7,
      keys: [
        ringKey({ tokensUntil: 900 }),
        ringKey({
          kid: 'gone',
          state: 'retired',
          encryptedPrivateKey: null,
          stoppedAt: 5,
          leftAt: 9,
          alg: 'ES256',
        }),
        ringKey({ kid: 'next', state: 'next', signsFrom: null, publicJwk: { kty: 'EC', x: 'ü' } }),
      ],
    })
    t.equal(await store.ring.create(full), true)
    t.same(await store.ring.read(), full)
  },

  'of fifty concurrent calls of create on two connections, and a later one, exactly one succeeds (docs/security.md Q9)':
    async (t, store, database) => {
      const other = await database.connect()
      const make = (i: number) =>
        ring({
          keys: [ringKey({ kid: `a${i}` }), ringKey({ kid: `n${i}`, state: 'next', signsFrom: null })],
        })
      t.same(await winners(50, (i) => (i % 2 ? store : other).ring.create(make(i))), { won: 1, lost: 49 })
      t.equal((await store.ring.read())?.keys.length, 2, 'all keys are of one ring')
      t.equal(await other.ring.create(make(50)), false)
    },

  'replace stores the successor of the ring that was read': async (t, store) => {
    await store.ring.create(ring())
    t.equal(await store.ring.replace(ring(), rotated()), true)
    t.same(await store.ring.read(), rotated())
  },

  'replace returns false and changes nothing if the version has changed': async (t, store) => {
    await store.ring.create(ring())
    await store.ring.replace(ring(), rotated())
    t.equal(await store.ring.replace(ring(), rotated('other')), false)
    t.same(await store.ring.read(), rotated())
  },

  'replace returns false and changes nothing if a key is needed for longer than was read': async (
    t,
    store,
  ) => {
    await store.ring.create(ring())
    await store.ring.extendTokensUntil('active', 900)
    t.equal(await store.ring.replace(ring(), rotated()), false)
    t.same(
      await store.ring.read(),
      ring({ keys: [ringKey({ tokensUntil: 900 }), ring().keys[1] as RingKey] }),
    )
  },

  'replace returns false if there is no ring': async (t, store) => {
    t.equal(await store.ring.replace(ring(), rotated()), false)
    t.equal(await store.ring.read(), null)
  },

  'of fifty concurrent successors, one is stored completely (docs/security.md Q9)': async (
    t,
    store,
    database,
  ) => {
    const other = await database.connect()
    await store.ring.create(ring())
    const outcome = await winners(50, (i) =>
      (i % 2 ? store : other).ring.replace(ring(), rotated(`fresh${i}`)),
    )
    t.same(outcome, { won: 1, lost: 49 })
    const now = await store.ring.read()
    t.equal(now?.version, 2)
    t.equal(now?.keys.length, 3, 'one new key, not fifty')
  },

  'replace fails during fifty concurrent extensions and succeeds afterwards, and no extension is lost':
    async (t, store) => {
      await store.ring.create(ring())
      const [, lost] = await Promise.all([
        Promise.all(Array.from({ length: 50 }, (_, i) => store.ring.extendTokensUntil('active', 1000 + i))),
        store.ring.replace(ring(), rotated()),
      ])
      t.equal(lost, false)
      const seen = (await store.ring.read()) as Ring
      t.equal(seen.keys[0]?.tokensUntil, 1049)
      t.equal(await store.ring.replace(seen, rotated()), true)
      t.equal(
        (await store.ring.read())?.keys[0]?.tokensUntil,
        1049,
        'the successor keeps the extended lifetime',
      )
    },

  'the database refuses a second active or next key in a lane': async (t, store) => {
    const before = ring({ keys: [...ring().keys, ...lane('ES256')] })
    await store.ring.create(before)
    for (const state of ['active', 'next'] as const) {
      for (const alg of ['RS256', 'ES256']) {
        const two = { ...before, version: 2, keys: [...before.keys, ringKey({ kid: 'second', state, alg })] }
        await t.rejects(store.ring.replace(before, two), { name: 'ConstraintViolation' }, `${state} ${alg}`)
      }
    }
    t.same(await store.ring.read(), before)
  },

  'create and replace store several lanes and which one is the default': async (t, store) => {
    const first = ring({ defaultAlg: 'PS256', keys: lane('PS256') })
    t.equal(await store.ring.create(first), true)
    const added = { ...first, version: 2, keys: [...lane('ES256', 2), ...first.keys] }
    t.equal(await store.ring.replace(first, added), true)
    t.same(await store.ring.read(), added)
    const changed = { ...added, version: 3, defaultAlg: 'ES256' }
    t.equal(await store.ring.replace(added, changed), true)
    t.same(await store.ring.read(), changed)
    const removed = { ...changed, version: 4, keys: [...lane('ES256', 2), ...gone('PS256')] }
    t.equal(await store.ring.replace(changed, removed), true)
    t.same(await store.ring.read(), removed)
    const again = [...lane('PS256', 5).map((key) => ({ ...key, kid: `${key.kid} again` }))]
    const readded = { ...removed, version: 5, keys: [...removed.keys, ...again] }
    t.equal(await store.ring.replace(removed, readded), true, 'a lane that was removed can be added again')
  },

  'replace refuses a default without a lane, and the removal of the default lane': async (t, store) => {
    const first = ring({ keys: [...lane('ES256'), ...lane('RS256')] })
    await store.ring.create(first)
    for (const wrong of [
      { ...first, version: 2, defaultAlg: 'PS256' },
      { ...first, version: 2, keys: [...lane('ES256'), ...gone('RS256')] },
    ])
      await t.rejects(store.ring.replace(first, wrong), { name: 'ConstraintViolation' })
    t.same(await store.ring.read(), first)
  },

  'replace refuses the removal of a lane that an API or a client uses, until it does not': async (
    t,
    store,
  ) => {
    const keys = [...ring().keys, ...lane('ES256'), ...lane('PS256')]
    const before = ring({ keys })
    await store.ring.create(before)
    await store.apis.insert(api({ signingAlg: 'ES256' }))
    await store.clients.insert(
      client({ idTokenSigningAlg: 'PS256', introspectionSignedResponseAlg: 'ES256' }),
    )
    const without = (alg: string, version: number, all: readonly RingKey[]): Ring => ({
      ...before,
      version,
      keys: [...all.filter((key) => key.alg !== alg), ...gone(alg)],
    })
    const refused = (alg: string) =>
      t.rejects(store.ring.replace(before, without(alg, 2, keys)), { name: 'ConstraintViolation' }, alg)
    t.same(await store.ring.usersOf('ES256', 9), { apis: [api().identifier], clients: ['machine'] })
    t.same(await store.ring.usersOf('PS256', 9), { apis: [], clients: ['machine'] })
    t.same(await store.ring.usersOf('ES256', 0), { apis: [], clients: [] })
    t.same(await store.ring.usersOf('RS256', 9), { apis: [], clients: [] })
    await refused('ES256')
    await refused('PS256')
    await store.apis.update(api().identifier, (one) => ({ ...one, signingAlg: 'RS256' }))
    await refused('ES256')
    await store.clients.update('machine', (one) => ({ ...one, introspectionSignedResponseAlg: null }))
    t.same(await store.ring.read(), before)
    const first = without('ES256', 2, keys)
    t.equal(await store.ring.replace(before, first), true)
    await store.clients.delete('machine')
    t.equal(await store.ring.replace(first, without('PS256', 3, first.keys)), true)
  },

  'of fifty concurrent uses and removals of a lane, no use is left without its lane (docs/security.md Q9)':
    async (t, store, database) => {
      const other = await database.connect()
      const keys = [...ring().keys, ...lane('ES256')]
      const before = ring({ keys })
      await store.ring.create(before)
      const removed = { ...before, version: 2, keys: [...ring().keys, ...gone('ES256')] }
      const outcomes = await Promise.allSettled(
        Array.from({ length: 50 }, (_, i) =>
          i === 25
            ? other.ring.replace(before, removed)
            : store.clients.insert(client({ id: `c${i}`, idTokenSigningAlg: 'ES256' })),
        ),
      )
      const isGone = (await store.ring.read())?.version === 2
      t.equal((await store.clients.page(null, 1000)).length === 0, isGone, 'either the lane or its clients')
      t.equal(
        outcomes.every(({ status }) => status === 'fulfilled'),
        false,
      )
    },

  'of fifty concurrent additions of one lane, one is stored completely (docs/security.md Q9)': async (
    t,
    store,
    database,
  ) => {
    const other = await database.connect()
    await store.ring.create(ring())
    const added = (i: number): Ring => ({
      ...ring(),
      version: 2,
      keys: [...ring().keys, ...lane('ES256', 2).map((key) => ({ ...key, kid: `${key.kid} ${i}` }))],
    })
    const outcome = await winners(50, (i) => (i % 2 ? store : other).ring.replace(ring(), added(i)))
    t.same(outcome, { won: 1, lost: 49 })
    t.equal((await store.ring.read())?.keys.length, 4)
  },

  'extendTokensUntil records how long a key is needed and never shortens it': async (t, store) => {
    await store.ring.create(ring())
    const noted = async (until: number) => {
      t.equal(await store.ring.extendTokensUntil('active', until), true)
      return (await store.ring.read())?.keys[0]?.tokensUntil
    }
    t.equal(await noted(500), 500)
    t.equal(await noted(400), 500)
    t.equal(await noted(501), 501)
    t.equal((await store.revisions.read()).ring, 1, 'recording a lifetime does not change the version')
  },

  'extendTokensUntil accepts a retiring key, because another node may still sign with it': async (
    t,
    store,
  ) => {
    await store.ring.create(ring())
    await store.ring.replace(ring(), rotated())
    t.equal(await store.ring.extendTokensUntil('active', 500), true)
    t.equal((await store.ring.read())?.keys[0]?.tokensUntil, 500)
  },

  'extendTokensUntil returns false for a next, retired, revoked or unknown key': async (t, store) => {
    const keys = (['retired', 'revoked'] as const).map((state) => ringKey({ kid: state, state }))
    const whole = ring({ keys: [...ring().keys, ...keys] })
    await store.ring.create(whole)
    for (const kid of ['next', 'retired', 'revoked', 'unknown']) {
      t.equal(await store.ring.extendTokensUntil(kid, 500), false, kid)
    }
    t.same(await store.ring.read(), whole)
  },

  'another connection reads the same ring': async (t, store, database) => {
    await store.ring.create(ring())
    await store.ring.replace(ring(), rotated())
    t.same(await (await database.connect()).ring.read(), rotated())
  },
}
