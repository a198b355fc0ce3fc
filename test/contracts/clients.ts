import { type Client, LANE_MEMBERS } from '../../src/store/contracts/clients.ts'
import { client, storedSecret, user } from '../support/server/seed.ts'
import { insertOwners, session } from './client-sessions.ts'
import { type Contract, winners } from './contract.ts'
import { createLanes } from './ring.ts'
import { updateContract } from './update.ts'

/** Every member set to something that is not its default. */
const full: Client = {
  id: 'näme with spaces',
  name: 'A “name”; DROP TABLE clients',
  authMethod: 'private_key_jwt',
  secrets: [
    storedSecret('sha256:old', { id: 'cs_old', createdAt: 12, expiresAt: 100 }),
    storedSecret('$argon2id$…', { id: 'cs_new', createdAt: 13, addedIn: 7 }),
  ],
  grants: ['client_credentials', 'refresh_token'],
  scopes: ['b', 'a'],
  redirectUris: ['https://app.test/back?x=1'],
  postLogoutRedirectUris: ['https://app.test/left'],
  backchannelLogoutUri: 'https://app.test/ended',
  firstParty: true,
  requirePushedRequests: true,
  requireSignedRequests: true,
  requireSecondFactor: true,
  jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'k' }] },
  jwksUri: 'https://app.test/jwks',
  logoUri: 'https://app.test/logo.png',
  logo: null,
  clientUri: 'https://app.test/',
  policyUri: 'https://app.test/privacy',
  tosUri: 'https://app.test/terms',
  pkce: 'optional',
  accessTokenTtl: 120,
  claimsInIdToken: false,
  rolesClaim: 'groups',
  acceptEndpointAudience: true,
  introspects: ['https://orders.test'],
  requireDpop: true,
  requireMtlsBound: true,
  tlsSubject: { kind: 'san_uri', value: 'spiffe://app.test/näme' },
  idTokenSigningAlg: 'ES256',
  authorizationSignedResponseAlg: 'PS256',
  introspectionSignedResponseAlg: 'EdDSA',
  profile: 'fapi2',
  disabled: true,
  createdAt: 12,
  revision: 1,
}

/** The lanes that `full` names. */
const LANES = ['ES256', 'PS256', 'EdDSA']

export const clientsContract: Contract = {
  'find returns every member of an inserted client': async (t, { clients, ring }) => {
    await createLanes({ ring }, ...LANES)
    t.equal(await clients.insert(full), true)
    t.equal(await clients.insert(client()), true)
    t.same(await clients.find(full.id), full)
    t.same(await clients.find('machine'), client())
    t.equal(await clients.find('nobody'), null)
  },

  'insert and update refuse a client that names a lane that the ring lacks': async (t, { clients, ring }) => {
    await createLanes({ ring }, 'ES256')
    for (const member of LANE_MEMBERS) {
      await t.rejects(clients.insert(client({ [member]: 'PS256' })), { name: 'ConstraintViolation' }, member)
    }
    t.same(await clients.page(null, 1000), [])
    await clients.insert(client({ idTokenSigningAlg: 'RS256', introspectionSignedResponseAlg: 'ES256' }))
    for (const member of LANE_MEMBERS) {
      const outcome = await clients.update('machine', (one) => ({ ...one, [member]: 'PS256' }))
      t.same(outcome, { updated: false, reason: 'conflict' }, member)
    }
    t.match(await clients.find('machine'), { idTokenSigningAlg: 'RS256', revision: 1 })
  },

  'a client without a PKCE policy keeps none': async (t, { clients }) => {
    await clients.insert(client({ pkce: null }))
    t.equal((await clients.find('machine'))?.pkce, null)
  },

  'ids are compared exactly': async (t, { clients }) => {
    await clients.insert(client({ id: 'Machine' }))
    t.equal(await clients.find('machine'), null)
    t.equal(await clients.find('Machine '), null)
    t.equal(await clients.find('%'), null)
  },

  'page returns all clients, oldest first': async (t, { clients, ring }) => {
    await createLanes({ ring }, ...LANES)
    t.same(await clients.page(null, 1000), [])
    await clients.insert(full)
    await clients.insert(client())
    t.same(await clients.page(null, 1000), [client(), full])
  },

  'page returns clients part by part, oldest first, with all their secrets': async (t, { clients, ring }) => {
    await createLanes({ ring }, ...LANES)
    const all = [
      client({ id: 'd', createdAt: 3 }),
      { ...full, id: 'c', createdAt: 5, secrets: full.secrets.map((one) => ({ ...one, id: `${one.id}_c` })) },
      client({ id: 'a b', createdAt: 7 }),
      client({ id: 'b', createdAt: 7 }),
    ]
    for (const one of [2, 1, 0, 3]) await clients.insert(all[one] as Client)
    t.same(await clients.page(null, 2), all.slice(0, 2))
    t.same(await clients.page(all[1] as Client, 1), all.slice(2, 3))
    t.same(await clients.page(all[2] as Client, 9), all.slice(3))
    t.same(await clients.page(all[3] as Client, 9), [])
  },

  'insert returns false and changes nothing if the id is taken': async (t, { clients }) => {
    await clients.insert(client())
    t.equal(await clients.insert(client({ name: 'another', secretHash: 'sha256:x' })), false)
    t.same(await clients.page(null, 1000), [client()])
  },

  'of fifty concurrent inserts with one id, one succeeds': async (t, { clients }) => {
    t.same(await winners(50, (i) => clients.insert(client({ name: `n${i}` }))), { won: 1, lost: 49 })
  },

  'update changes everything that is registered under the id': async (t, { clients, ring }) => {
    await createLanes({ ring }, ...LANES)
    await clients.insert(client({ createdAt: full.createdAt, id: full.id }))
    t.match(await clients.update(full.id, () => full), { updated: true })
    t.same(await clients.find(full.id), { ...full, revision: 2 })
  },

  ...updateContract<Client>({
    rows: ({ clients }) => clients,
    insert: async ({ clients }) => {
      await clients.insert(client())
      return 'machine'
    },
    changes: [{ name: 'renamed' }, { disabled: true, secrets: [storedSecret('sha256:new')] }],
    add: (row, number) => ({ ...row, scopes: [...row.scopes, `s${number}`] }),
    added: ({ scopes }) => scopes.length,
    kept: { id: 'other' },
  }),

  'secrets are returned oldest first, and can end, be added and be removed': async (t, { clients }) => {
    const [one, two, three] = [
      storedSecret('sha256:1', { id: 'b', createdAt: 1 }),
      storedSecret('sha256:2', { id: 'a', createdAt: 2 }),
      storedSecret('sha256:3', { id: 'c', createdAt: 2, expiresAt: 9 }),
    ] as const
    await clients.insert(client({ secrets: [one, two] }))
    await clients.insert(client({ id: 'other' }))
    t.same((await clients.find('machine'))?.secrets, [one, two])
    t.match(await clients.update('machine', (row) => ({ ...row, secrets: [three, two] })), {
      updated: true,
      after: { revision: 2 },
    })
    t.same((await clients.find('machine'))?.secrets, [three, two], 'the one that expires is first')
    const ending = { ...two, expiresAt: 50 }
    t.match(await clients.update('machine', (row) => ({ ...row, secrets: [ending, three] })), {
      updated: true,
      after: { revision: 3 },
    })
    t.same((await clients.find('machine'))?.secrets, [ending, three])
    t.same(
      (await clients.page(null, 1000)).map(({ secrets }) => secrets.length),
      [2, 1],
    )
    await clients.update('machine', (row) => ({ ...row, secrets: [] }))
    t.same((await clients.find('machine'))?.secrets, [])
    t.equal((await clients.find('other'))?.secrets.length, 1)
  },

  'of two writers who add a secret at the same time, neither loses it': async (t, { clients }, database) => {
    const other = (await database.connect()).clients
    await clients.insert(client({ secrets: [] }))
    await Promise.all(
      [clients, other].map((store, i) =>
        store.update('machine', (row) => ({
          ...row,
          secrets: [...row.secrets, storedSecret(`sha256:${i}`)],
        })),
      ),
    )
    t.match(await clients.find('machine'), { revision: 3, secrets: { length: 2 } })
  },

  'secretUses returns the last use of each secret, which changes neither the client nor its revision': async (
    t,
    { clients, revisions },
  ) => {
    const secrets = ['a', 'b', 'c'].map((id) => storedSecret(`sha256:${id}`, { id }))
    await clients.insert(client({ secrets }))
    const [before, { registry }] = [await clients.find('machine'), await revisions.read()]
    t.same([...(await clients.secretUses('machine'))], [])
    await clients.recordSecretUses([
      { secretId: 'b', at: 20 },
      { secretId: 'a', at: 10 },
      { secretId: 'gone', at: 10 },
    ])
    await clients.recordSecretUses([{ secretId: 'b', at: 15 }])
    const uses = new Map([
      ['a', 10],
      ['b', 20],
    ])
    t.same(await clients.secretUses('machine'), uses)
    t.same(await clients.find('machine'), before)
    t.equal((await revisions.read()).registry, registry, 'no node reads the registry again')
    await clients.update('machine', (row) => ({
      ...row,
      secrets: row.secrets.map((secret) => ({ ...secret, expiresAt: 90 })),
    }))
    t.same(await clients.secretUses('machine'), uses, 'kept by a change of the secret')
    t.same(await clients.secretUses('nobody'), new Map())
  },

  'prune deletes the secrets that expired before a time, and no others': async (t, { clients }) => {
    const secrets = [10, 20, null].map((expiresAt, i) =>
      storedSecret(`sha256:${i}`, { id: `${i}`, expiresAt }),
    )
    await clients.insert(client({ secrets }))
    t.equal(await clients.prune(20, 100), 1)
    t.same((await clients.find('machine'))?.secrets, secrets.slice(1))
    t.equal(await clients.prune(1000, 100), 1)
    t.same((await clients.find('machine'))?.secrets, secrets.slice(2))
  },

  'delete removes the client and its sessions': async (t, store) => {
    await store.roles.insert({ name: 'clerk', scopes: [], requireSecondFactor: false, createdAt: 1 })
    const alice = await user()
    await store.users.insert(alice)
    await store.clients.insert(client())
    await store.clients.insert(client({ id: 'other' }))
    await store.clientSessions.insert(session({ id: 's1', userId: alice.id, clientId: 'machine' }))
    await store.clientSessions.insert(session({ id: 's2', userId: alice.id, clientId: 'other' }))

    t.equal(await store.clients.delete('machine'), true)
    t.equal(await store.clients.find('machine'), null)
    t.same((await store.clients.find('other'))?.secrets, client({ id: 'other' }).secrets)
    await store.clients.insert(client({ secrets: [] }))
    t.same((await store.clients.find('machine'))?.secrets, [], 'a later client does not get its secrets')
    t.equal(await store.clientSessions.find('s1'), null)
    t.not(await store.clientSessions.find('s2'), null, 'another client’s sessions stay')
  },

  'sessions that begin while their client is deleted are revoked with it or do not begin (RFC 9700 §4.14.2; docs/security.md P1)':
    async (t, store, database) => {
      await insertOwners(store)
      const other = await database.connect()
      for (let round = 0; round < 8; round += 1) {
        const id = `client${round}`
        await store.clients.insert(client({ id }))
        const inserts = Array.from({ length: 8 }, (_, i) =>
          store.clientSessions.insert(
            session({ id: `${id}-${i}`, clientId: id, status: { list: round, idx: i }, expiresAt: 5000 }),
          ),
        )
        await Promise.race(inserts)
        const [deleted, ...inserted] = await Promise.all([other.clients.delete(id), ...inserts])
        t.equal(deleted, true)
        const { entries } = await store.status.changesSince(0, 1000)
        const revokedIndices = entries.filter(({ list }) => list === round).map(({ idx }) => idx)
        t.same(
          revokedIndices.sort(),
          inserted.flatMap((one, i) => (one ? [i] : [])),
          'every index that a token may carry, and no other',
        )
      }
      t.same(await store.clientSessions.list({}, 100), [])
    },

  'delete with a revision deletes the client only if it has this revision': async (t, { clients }) => {
    await clients.insert(client())
    await clients.update('machine', (row) => ({ ...row, name: 'renamed' }))
    t.equal(await clients.delete('machine', 1), false)
    t.match(await clients.find('machine'), { name: 'renamed', revision: 2 })
    t.equal(await clients.delete('machine', 2), true)
    t.equal(await clients.find('machine'), null)
  },

  'delete returns false if there is no such client': async (t, { clients }) => {
    t.equal(await clients.delete('nobody'), false)
  },
}
