/** What a session may have now (src/oauth/session-rights.ts), and what ends codes and sessions together. */
import fc from 'fast-check'
import t from 'tap'
import type { Client } from '../../src/store/contracts/clients.ts'
import type { Role } from '../../src/store/contracts/roles.ts'
import { openBrowser } from '../support/browser/browser.ts'
import {
  authorizeUrl,
  codeClient,
  freshCode,
  redeem,
  seedUsers,
  signIn,
  tokensOf,
  VERIFIER,
  WEB_REDIRECT,
} from '../support/browser/sign-in.ts'
import { ENGINE } from '../support/server/engine.ts'
import { refused } from '../support/server/error-responses.ts'
import { claimsOf, clientCredentials, type Form, login, post, refresh } from '../support/server/requests.ts'
import { ORDERS, STOCK } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'
import { isActive } from '../support/server/tokens.ts'

const role = (fields: Partial<Role> & Pick<Role, 'name' | 'scopes'>): Role => ({
  requireSecondFactor: false,
  createdAt: 1,
  revision: 1,
  ...fields,
})

const GRANT = { error: 'invalid_grant' }

const userinfo = (server: TestServer, token: string) =>
  server.inject({ method: 'GET', url: '/oauth2/userinfo', headers: { authorization: `Bearer ${token}` } })

async function started() {
  const server = await testServer()
  t.teardown(() => server.close())
  const { alice } = await seedUsers(server.store)
  const { store } = server
  const replaceClient = async (id: string, change: object) => {
    await store.clients.update(id, (current) => ({ ...current, ...change }))
    await server.poll()
  }
  return { server, store, alice, replaceClient }
}

t.test(
  'consent to openid gives no token for an API, with a page or without one (RFC 8707 §2.1; docs/security.md S1, S3)',
  async (t) => {
    const { server, store, alice } = await started()
    const browser = openBrowser(server)
    const only = { scope: 'openid', resource: ORDERS }
    const page = await browser.open(authorizeUrl(only))
    t.equal(page.away?.params.get('error'), 'invalid_target', 'before anyone signs in')
    await signIn(browser, { scope: 'openid' }, { remember: true })
    for (const overrides of [only, { ...only, prompt: 'none' }]) {
      const answer = await browser.open(authorizeUrl(overrides))
      t.equal(answer.away?.params.get('error'), 'invalid_target', JSON.stringify(overrides))
    }
    const silent = { scope: 'openid orders:read', prompt: 'none' }
    const answer = await browser.open(authorizeUrl(silent))
    t.equal(answer.away?.params.get('error'), 'consent_required', 'the consent was not for the API')
    t.match(await store.consents.list(alice.id), [{ audience: ISSUER, scopes: ['openid'] }])
  },
)

t.test(
  'the consent page names the API, and the stored consent is for that API alone (docs/security.md S3)',
  async (t) => {
    const { server, store, alice } = await started()
    const browser = openBrowser(server)
    await signIn(browser, { client_id: 'own' })
    const page = await browser.open(authorizeUrl({ scope: 'openid orders:read' }))
    t.match(page.body, ORDERS)
    await signIn(browser, { scope: 'openid orders:read' }, { remember: true })
    t.match(await store.consents.list(alice.id), [{ audience: ORDERS, scopes: ['openid', 'orders:read'] }])
    await store.apis.update(ORDERS, (api) => ({ ...api, scopes: ['orders:write'] }))
    await store.apis.update(STOCK, (api) => ({ ...api, scopes: [...api.scopes, 'orders:read'] }))
    await server.poll()
    const moved = await browser.open(authorizeUrl({ scope: 'openid orders:read', prompt: 'none' }))
    t.equal(moved.away?.params.get('error'), 'consent_required', 'the scope belongs to another API now')
  },
)

const orders = async (store: TestServer['store']) => {
  const found = (await store.apis.list()).find(({ identifier }) => identifier === ORDERS)
  if (!found) throw new Error('there is no API')
  return found
}

t.test(
  'a session can no longer be refreshed once it has no scope left at its API, or the API is deleted (RFC 8707 §2.2; docs/security.md S1)',
  async (t) => {
    for (const lose of [
      ({ store }: TestServer) => store.clients.update('web', (web) => ({ ...web, scopes: ['openid'] })),
      ({ store }: TestServer) => store.apis.delete(ORDERS),
    ]) {
      const { server } = await started()
      const tokens = tokensOf(await redeem(server, await freshCode(server)))
      t.equal(claimsOf(tokens.access_token).aud, ORDERS)
      await lose(server)
      await server.poll()
      refused(t, await refresh(server, tokens.refresh_token, {}, 'web'), { error: 'invalid_target' })
    }
  },
)

t.test(
  'what was granted for an API is not valid for a later API with its identifier: no consent, code, session or token (RFC 8707 §2.2; docs/security.md S8)',
  async (t) => {
    const { server, store, alice } = await started()
    const browser = openBrowser(server)
    const { code } = await signIn(browser, {}, { remember: true })
    const tokens = tokensOf(await redeem(server, await freshCode(server)))
    const machine = (await clientCredentials(server, { resource: ORDERS })).json().access_token
    const [consent] = await store.consents.list(alice.id)
    const { revision, ...deleted } = await orders(store)
    await store.apis.delete(ORDERS)
    // A node that does not know yet that the API was deleted stores a consent.
    if (consent) await store.consents.add(consent)
    server.clock.tick(1)
    await store.apis.insert({ ...deleted, createdAt: server.clock.now() })
    await server.poll()

    const target = { error: 'invalid_target' }
    refused(t, await redeem(server, code), target)
    refused(t, await refresh(server, tokens.refresh_token, {}, 'web'), target)
    t.notOk(await isActive(server, tokens.access_token, 'web'))
    t.notOk(await isActive(server, machine, 'machine'))
    const silent = await browser.open(authorizeUrl({ prompt: 'none' }))
    t.equal(silent.away?.params.get('error'), 'consent_required')

    const again = tokensOf(await redeem(server, (await signIn(browser)).code))
    t.equal((await refresh(server, again.refresh_token, {}, 'web')).statusCode, 200, 'a new grant is valid')
  },
)

t.test(
  'a second factor that becomes required is also required for redemption, refresh and userinfo (docs/security.md S4)',
  async (t) => {
    const changes = {
      'by the client': ({ replaceClient }: Started) => replaceClient('web', { requireSecondFactor: true }),
      'by a role': async ({ server, store, alice }: Started) => {
        await store.roles.insert(role({ name: 'chief', scopes: ['stock:read'], requireSecondFactor: true }))
        await store.users.addRole(alice.id, 'chief')
        await server.poll()
      },
    }
    for (const [label, change] of Object.entries(changes)) {
      const world = await started()
      const { server } = world
      const tokens = tokensOf(await redeem(server, await freshCode(server)))
      const code = await freshCode(server)
      await change(world)
      refused(t, await refresh(server, tokens.refresh_token, {}, 'web'), GRANT, `${label}: refresh`)
      refused(t, await redeem(server, code), GRANT, `${label}: redemption`)
      t.equal((await userinfo(server, tokens.access_token)).statusCode, 401, `${label}: userinfo`)
      const [last] = server.logger.audits('token.refused').slice(-1)
      t.match(last, { detail: 'second_factor_required' })
    }
  },
)

type Started = Awaited<ReturnType<typeof started>>

t.test(
  'an unused code is refused after its consent or sessions are revoked, or its redirect URI is removed (RFC 6749 §4.1.2; docs/security.md S5)',
  async (t) => {
    const endings: Record<string, (world: Started) => Promise<unknown>> = {
      'the consent is withdrawn': async ({ server, alice }) => {
        const info = { ip: '192.0.2.1', userAgent: 'x', requestId: 'x' }
        t.ok(await server.deps.accounts.accountSessions.withdrawConsent(alice.id, 'web', info))
      },
      'the sessions of the client are revoked': ({ store, server }) =>
        store.clientSessions.revokeMatching({ clientId: 'web' }, server.clock.now(), 'test'),
      'the sessions of the user are revoked': ({ store, server, alice }) =>
        store.clientSessions.revokeMatching({ userId: alice.id }, server.clock.now(), 'test'),
      'the redirect URI is removed': ({ replaceClient }) =>
        replaceClient('web', { redirectUris: ['https://app.test/other'] }),
    }
    for (const [label, end] of Object.entries(endings)) {
      const world = await started()
      const code = (await signIn(openBrowser(world.server), {}, { remember: true })).code
      await end(world)
      refused(t, await redeem(world.server, code), GRANT, label)
    }
  },
)

t.test(
  'a code without PKCE is refused once its client must use PKCE, or can no longer get an ID token (OAuth 2.1 §7.5.1; docs/security.md D52)',
  async (t) => {
    const withoutPkce = { code_challenge: undefined, code_challenge_method: undefined }
    const changes: Record<string, Partial<Client>> = {
      'it is registered so': { pkce: 'required' },
      'it has become public': { authMethod: 'none', secrets: [] },
      'it has lost the scope openid': { scopes: ['orders:read'] },
    }
    for (const [label, change] of Object.entries(changes)) {
      const { server, replaceClient } = await started()
      const [code, other] = [await freshCode(server, withoutPkce), await freshCode(server)]
      await replaceClient('web', change)
      const form = { code_verifier: '', ...(change.authMethod === 'none' ? { client_id: 'web' } : {}) }
      const send = (all: Form) =>
        change.authMethod === 'none'
          ? post(server, '/oauth2/token', {
              grant_type: 'authorization_code',
              redirect_uri: WEB_REDIRECT,
              ...all,
            })
          : redeem(server, all.code as string, { form: all })
      refused(t, await send({ ...form, code }), GRANT, label)
      t.match(server.logger.audits('token.refused').at(-1), { detail: 'pkce_missing' })
      t.equal(
        (await send({ ...form, code: other, code_verifier: VERIFIER })).statusCode,
        200,
        `${label}: with PKCE`,
      )
    }
  },
)

t.test('userinfo returns no claim whose scope the client has lost (docs/security.md S6)', async (t) => {
  const { server, store, alice, replaceClient } = await started()
  const profile = { name: 'Alice', email: 'alice@example.test', emailVerified: true }
  await store.users.update(alice.id, (user) => ({ ...user, ...profile }))
  const claims = JSON.stringify({ userinfo: { name: null } })
  const code = await freshCode(server, { scope: 'openid email orders:read', claims })
  const tokens = tokensOf(await redeem(server, code))
  t.match((await userinfo(server, tokens.access_token)).json(), {
    email: 'alice@example.test',
    name: 'Alice',
  })
  await replaceClient('web', { scopes: ['openid', 'orders:read'] })
  t.same((await userinfo(server, tokens.access_token)).json(), { sub: alice.id }, 'with the old token')
  const next = await refresh(server, tokens.refresh_token, {}, 'web')
  t.same((await userinfo(server, next.json().access_token)).json(), { sub: alice.id }, 'with a new one')
})

t.test(
  'sessions that begin while their client is being disabled are not usable after it is enabled again (docs/security.md S5)',
  async (t) => {
    const { server, store, replaceClient } = await started()
    await replaceClient('web', { grants: ['password', 'authorization_code', 'refresh_token'] })
    for (let round = 0; round < 5; round += 1) {
      const codes = await Promise.all(Array.from({ length: 4 }, () => freshCode(server)))
      const grants = [
        ...Array.from({ length: 4 }, () => login(server, { scope: 'orders:read' }, 'web')),
        ...codes.map((code) => redeem(server, code)),
      ]
      await store.clients.update('web', (web) => ({ ...web, disabled: true }))
      await store.clientSessions.revokeMatching({ clientId: 'web' }, server.clock.now(), 'client disabled')
      const answers = await Promise.all(grants)
      await replaceClient('web', { disabled: false })
      for (const answer of answers.filter(({ statusCode }) => statusCode === 200)) {
        refused(t, await refresh(server, answer.json().refresh_token, {}, 'web'), GRANT, `round ${round}`)
      }
      const live = (await store.clientSessions.list({ clientId: 'web' }, 1000)).filter(
        (one) => one.revokedAt === null,
      )
      t.same(live, [], `round ${round}`)
    }
  },
)

t.test(
  'tokens issued before a client was disabled stay inactive after it is enabled again (RFC 7662 §2.2; docs/security.md S6)',
  async (t) => {
    const { server, store } = await started()
    const { access_token: token } = (await clientCredentials(server)).json()
    t.equal(await isActive(server, token, 'machine'), true)
    await store.clients.update('machine', (machine) => ({ ...machine, disabled: true }))
    await store.status.revokeClient('machine')
    await store.clients.update('machine', (machine) => ({ ...machine, disabled: false }))
    await server.poll()
    t.equal(await isActive(server, token, 'machine'), false)
    const { access_token: next } = (await clientCredentials(server)).json()
    t.equal(await isActive(server, next, 'machine'), true, 'a new token is active')
  },
)

t.test(
  'a withdrawal of consent that failed half-way can be repeated, and revokes tokens even if no consent was stored (docs/security.md S5)',
  async (t) => {
    const { server, store, alice } = await started()
    const info = { ip: '192.0.2.1', userAgent: 'x', requestId: 'x' }
    const withdraw = () => server.deps.accounts.accountSessions.withdrawConsent(alice.id, 'web', info)
    const { revokeMatching } = store.clientSessions
    const tokens = tokensOf(
      await redeem(server, (await signIn(openBrowser(server), {}, { remember: true })).code),
    )
    Object.assign(store.clientSessions, {
      revokeMatching: () => Promise.reject(new Error('connection lost')),
    })
    await t.rejects(withdraw())
    Object.assign(store.clientSessions, { revokeMatching })
    t.equal(await withdraw(), true)
    refused(t, await refresh(server, tokens.refresh_token, {}, 'web'), GRANT)
    const once = tokensOf(await redeem(server, await freshCode(server)))
    t.equal(await withdraw(), true, 'allowed once, and not stored')
    refused(t, await refresh(server, once.refresh_token, {}, 'web'), GRANT)
    t.equal(await withdraw(), false)
  },
)

t.test(
  'with a registered API as the default audience, openid alone is for the issuer (docs/security.md S1)',
  async (t) => {
    const server = await testServer({ settings: { DEFAULT_AUDIENCE: ORDERS } })
    t.teardown(() => server.close())
    await seedUsers(server.store)
    await server.poll()
    const tokens = tokensOf(await redeem(server, await freshCode(server, { scope: 'openid' })))
    t.equal(claimsOf(tokens.access_token).aud, ISSUER)
    const api = tokensOf(await redeem(server, await freshCode(server, { scope: 'openid orders:read' })))
    t.equal(claimsOf(api.access_token).aud, ORDERS)
  },
)

t.test(
  'consent for an API does not cover its scopes at the default audience once the API is gone (docs/security.md S3)',
  async (t) => {
    const { server, store } = await started()
    const browser = openBrowser(server)
    await signIn(browser, {}, { remember: true })
    await store.apis.delete(ORDERS)
    await store.roles.update('clerk', (clerk) => ({ ...clerk, scopes: ['orders:read'] }))
    await server.poll()
    const silent = await browser.open(authorizeUrl({ prompt: 'none' }))
    t.equal(silent.away?.params.get('error'), 'consent_required')
  },
)

// The property: whatever happens in whatever order, no token and no userinfo response exceeds what was requested, what the
// client is registered for, what the user's roles grant, and what the user was shown, at that moment.

const SCOPES = ['openid', 'email', 'orders:read', 'orders:write', 'stock:read'] as const
const CLIENTS = ['one', 'two'] as const
const ROLES = ['clerk', 'keeper'] as const
const PROTOCOL: readonly string[] = ['openid', 'email']

const API_SCOPES: Readonly<Record<string, readonly string[]>> = {
  [ORDERS]: ['openid', 'email', 'orders:read', 'orders:write'],
  [STOCK]: ['openid', 'email', 'stock:read'],
}
const scopes = fc.subarray([...SCOPES], { minLength: 3 })
/** Mostly what can be granted, sometimes scopes of two APIs, or only of the protocol. */
const request = fc
  .tuple(fc.constantFrom(ORDERS, STOCK), scopes, fc.boolean(), fc.nat(4))
  .map(([api, all, named, odd]) => ({
    scopes: odd === 0 ? all : all.filter((scope) => API_SCOPES[api]?.includes(scope)),
    resource: named ? api : undefined,
  }))
  .filter(({ scopes }) => scopes.length > 0)
const clientId = fc.constantFrom(...CLIENTS)
const index = fc.nat(1000)
const name = fc.constantFrom(...ROLES)
const weighted = <T>(weight: number, arbitrary: fc.Arbitrary<T>) => ({ weight, arbitrary })
const command = fc.oneof(
  weighted(5, fc.record({ do: fc.constant('password' as const), clientId, request })),
  weighted(5, fc.record({ do: fc.constant('code' as const), clientId, request })),
  weighted(5, fc.record({ do: fc.constant('redeem' as const), index })),
  weighted(6, fc.record({ do: fc.constant('refresh' as const), index, scopes: fc.option(scopes) })),
  weighted(4, fc.record({ do: fc.constant('userinfo' as const), index })),
  weighted(2, fc.record({ do: fc.constant('client' as const), clientId, scopes })),
  weighted(1, fc.record({ do: fc.constant('strict' as const), clientId, on: fc.boolean() })),
  weighted(1, fc.record({ do: fc.constant('disable' as const), clientId })),
  weighted(1, fc.record({ do: fc.constant('role' as const), name, scopes })),
  weighted(1, fc.record({ do: fc.constant('assign' as const), name, on: fc.boolean() })),
  weighted(1, fc.record({ do: fc.constant('api' as const), on: fc.boolean() })),
  weighted(1, fc.record({ do: fc.constant('revoke' as const), clientId })),
  weighted(1, fc.record({ do: fc.constant('withdraw' as const), clientId })),
)

t.test(
  'in any sequence of grants, refreshes, revocations and registry changes, no token or userinfo response exceeds requested ∩ client ∩ roles ∩ shown (docs/security.md S7)',
  async (t) => {
    // The PostgreSQL run of the flow tests does more runs of this property.
    const numRuns = ENGINE === 'SQLite' ? 10 : 25
    let issued = 0
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 30, maxLength: 60 }), async (commands) => {
        const world = await propertyWorld()
        try {
          for (const one of commands) await world.run(one)
          issued += world.issued()
        } finally {
          await world.server.close()
        }
      }),
      { numRuns, seed: 20261130, endOnFailure: true },
    )
    t.ok(issued > 6 * numRuns, `${issued} tokens were issued and checked`)
  },
)

type Command = typeof command extends fc.Arbitrary<infer T> ? T : never

async function propertyWorld() {
  const server = await testServer()
  const { store, clock } = server
  const { alice } = await seedUsers(store)
  for (const id of CLIENTS) {
    await store.clients.insert(
      codeClient({ id, grants: ['password', 'authorization_code', 'refresh_token'], scopes: [...SCOPES] }),
    )
  }
  await store.roles.insert(role({ name: 'keeper', scopes: ['stock:read'] }))
  await store.users.addRole(alice.id, 'keeper')
  await server.poll()
  const browser = openBrowser(server)
  const savedApi = await orders(store)
  const codes: { code: string; clientId: string; bound: readonly string[]; revoked: boolean }[] = []
  const sessions: { token: string; clientId: string; bound: readonly string[]; revoked: boolean }[] = []
  const tokens: { token: string; clientId: string; bound: readonly string[] }[] = []
  let issued = 0

  async function check(accessToken: string, by: string, bound: readonly string[]): Promise<void> {
    issued += 1
    const claims = claimsOf(accessToken) as { scope?: string; aud: string; roles?: string[] }
    const now = await current(by)
    const granted = claims.scope?.split(' ') ?? []
    for (const scope of granted) {
      if (!bound.includes(scope)) throw new Error(`${scope} was not requested or shown`)
      if (!now.client.scopes.includes(scope)) throw new Error(`${scope} is not the client's`)
      if (!PROTOCOL.includes(scope) && !now.roleScopes.has(scope)) throw new Error(`no role grants ${scope}`)
      if (!PROTOCOL.includes(scope) && (now.owner(scope) ?? ISSUER) !== claims.aud) {
        throw new Error(`${scope} is not of ${claims.aud}`)
      }
    }
    if (claims.aud !== ISSUER && !granted.some((scope) => now.owner(scope) === claims.aud)) {
      throw new Error(`${claims.aud} without a scope of its own`)
    }
    for (const name of claims.roles ?? []) {
      const role = now.roles.find((one) => one.name === name)
      if (!role?.scopes.some((scope) => granted.includes(scope))) throw new Error(`role ${name} for nothing`)
    }
    if (now.client.requireSecondFactor) throw new Error('a second factor is required')
    if (now.client.disabled) throw new Error('the client is disabled')
    tokens.push({ token: accessToken, clientId: by, bound })
  }

  async function current(by: string) {
    const client = await store.clients.find(by)
    const user = await store.users.find(alice.id)
    if (!client || !user) throw new Error('gone')
    const roles = (await store.roles.list()).filter(({ name }) => user.roles.includes(name))
    const apis = await store.apis.list()
    return {
      client,
      roles,
      roleScopes: new Set(roles.flatMap((one) => one.scopes)),
      owner: (scope: string) => apis.find((one) => one.scopes.includes(scope))?.identifier,
    }
  }

  const pick = <T>(list: readonly T[], index: number): T | undefined => list[index % Math.max(1, list.length)]
  const change = (id: string, fields: object) =>
    store.clients.update(id, (client) => ({ ...client, ...fields }))
  const revokeAll = async (id: string) => {
    await store.clientSessions.revokeMatching({ clientId: id }, clock.now(), 'test')
    for (const one of [...codes, ...sessions]) if (one.clientId === id) one.revoked = true
  }

  async function run(one: Command): Promise<void> {
    switch (one.do) {
      case 'password': {
        const { resource } = one.request
        const scope = one.request.scopes.join(' ')
        const form = resource === undefined ? { scope } : { scope, resource }
        const answer = await login(server, form, one.clientId)
        if (answer.statusCode === 200) {
          const body = answer.json()
          await check(body.access_token, one.clientId, one.request.scopes)
          sessions.push({
            token: body.refresh_token,
            clientId: one.clientId,
            bound: one.request.scopes,
            revoked: false,
          })
        }
        break
      }
      case 'code': {
        const overrides = {
          client_id: one.clientId,
          scope: one.request.scopes.join(' '),
          resource: one.request.resource,
        }
        const code = await signIn(browser, overrides, { remember: true }).then(
          (answer) => answer.code,
          () => null,
        )
        if (code) codes.push({ code, clientId: one.clientId, bound: one.request.scopes, revoked: false })
        break
      }
      case 'redeem': {
        const found = pick(codes, one.index)
        if (!found) break
        codes.splice(codes.indexOf(found), 1)
        const answer = await redeem(server, found.code, { as: found.clientId })
        if (answer.statusCode !== 200) break
        if (found.revoked) throw new Error('a revoked code was redeemed')
        const body = tokensOf(answer)
        await check(body.access_token, found.clientId, found.bound)
        sessions.push({ ...found, token: body.refresh_token })
        break
      }
      case 'refresh': {
        const found = pick(sessions, one.index)
        if (!found) break
        const form: Record<string, string> = one.scopes ? { scope: one.scopes.join(' ') } : {}
        const answer = await refresh(server, found.token, form, found.clientId)
        if (answer.statusCode !== 200) break
        if (found.revoked) throw new Error('a revoked session was refreshed')
        found.token = answer.json().refresh_token
        const bound = one.scopes
          ? found.bound.filter((scope) => (one.scopes as readonly string[]).includes(scope))
          : found.bound
        await check(answer.json().access_token, found.clientId, bound)
        break
      }
      case 'userinfo': {
        const found = pick(tokens, one.index)
        if (!found) break
        const answer = await userinfo(server, found.token)
        if (answer.statusCode !== 200) break
        const { client } = await current(found.clientId)
        if (!client.scopes.includes('openid') || client.disabled) throw new Error('userinfo without openid')
        const mayEmail = client.scopes.includes('email') && found.bound.includes('email')
        if ('email_verified' in answer.json() && !mayEmail) throw new Error('userinfo returned the email')
        break
      }
      case 'client':
        await change(one.clientId, { scopes: one.scopes })
        break
      case 'strict':
        await change(one.clientId, { requireSecondFactor: one.on })
        break
      case 'disable':
        await change(one.clientId, { disabled: true })
        await revokeAll(one.clientId)
        await change(one.clientId, { disabled: false })
        break
      case 'role':
        await store.roles.update(one.name, (role) => ({ ...role, scopes: one.scopes }))
        break
      case 'assign':
        await (one.on ? store.users.addRole(alice.id, one.name) : store.users.removeRole(alice.id, one.name))
        break
      case 'api':
        await (one.on ? store.apis.insert(savedApi) : store.apis.delete(ORDERS))
        break
      case 'revoke':
        await revokeAll(one.clientId)
        break
      case 'withdraw': {
        const info = { ip: '192.0.2.1', userAgent: 'x', requestId: 'x' }
        if (await server.deps.accounts.accountSessions.withdrawConsent(alice.id, one.clientId, info)) {
          for (const each of [...codes, ...sessions]) if (each.clientId === one.clientId) each.revoked = true
        }
      }
    }
    await server.poll()
  }

  return { server, run, issued: () => issued }
}
