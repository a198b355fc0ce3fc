/** Concurrent refreshes in one and in several processes, late and lost responses, and the limits of cookies and stores. */
import type { ServerResponse } from 'node:http'
import { exportJWK, generateKeyPair } from 'jose'
import t from 'tap'
import {
  type BrowserSessionOptions,
  memoryStore,
  type SessionStore,
} from '../../packages/browser-session/index.ts'
import { resolveOptions } from '../../packages/browser-session/options.ts'
import { type Answer, parseCookie } from '../support/browser/cookie-browser.ts'
import { fetchWithTimeouts } from '../support/issuers/fake-issuer.ts'
import {
  APP,
  CLIENT_ID,
  type OpenidIssuer,
  openidWorld,
  SAME_ORIGIN_HEADERS,
  secret,
  TOKEN_SECONDS,
} from '../support/issuers/oidc-provider.ts'
import { turns } from '../support/server/waiting.ts'

const logout = { method: 'POST', headers: SAME_ORIGIN_HEADERS }

/** Holds the next response of the token endpoint until it is released. */
function delayedResponse(issuer: OpenidIssuer): { requested: Promise<void>; release: () => void } {
  const requested = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  issuer.routes.set('/token', (_, response: ServerResponse, pass) => {
    issuer.routes.delete('/token')
    const end = response.end.bind(response)
    response.end = ((chunk: unknown) => {
      requested.resolve()
      released.promise.then(() => end(chunk))
      return response
    }) as typeof response.end
    pass()
  })
  return { requested: requested.promise, release: () => released.resolve() }
}

for (const store of [undefined, 'cookie'] as const) {
  const variant = store ?? 'memory'
  const kind = store === undefined ? {} : { store }

  t.test(`${variant}: 20 concurrent requests with an expiring token cause one refresh`, async (t) => {
    const { app, signedIn, issuer, time } = await openidWorld(t)
    await app(kind)
    const alice = await signedIn()
    for (let nth = 1; nth <= 2; nth += 1) {
      time.tick(TOKEN_SECONDS)
      const answers = await Promise.all(Array.from({ length: 20 }, () => alice.request(`${APP}/token`)))
      t.same(new Set(answers.map(({ body }) => body)), new Set([JSON.stringify({ nth })]))
      t.equal(issuer.refreshes.length, nth)
    }
  })

  t.test(`${variant}: a refresh whose response is lost is repeated once with the same token`, async (t) => {
    const { app, signedIn, issuer, time } = await openidWorld(t, { window: true })
    const { fetch, timeOut } = fetchWithTimeouts()
    await app({ ...kind, fetch })
    const alice = await signedIn()
    time.tick(TOKEN_SECONDS)
    issuer.routes.set('/token', (_, response, pass) => {
      issuer.routes.delete('/token')
      // One variant cuts the connection, the other does not respond in time.
      response.end = (() => {
        if (store === 'cookie') timeOut()
        else response.destroy()
        return response
      }) as typeof response.end
      pass()
    })
    t.same((await alice.request(`${APP}/token`)).json(), { nth: 1 })
    t.equal(issuer.refreshes.length, 2)
    t.equal(issuer.refreshes[0]?.get('refresh_token'), issuer.refreshes[1]?.get('refresh_token'))
  })

  t.test(`${variant}: a logout during a refresh revokes the tokens of the refresh`, async (t) => {
    const { app, signedIn, issuer, time } = await openidWorld(t)
    const logoutArrived = Promise.withResolvers<void>()
    await app(kind, (app) => {
      app.addHook('onRequest', async ({ url }) => {
        if (url === '/auth/logout') logoutArrived.resolve()
      })
    })
    const alice = await signedIn()
    time.tick(TOKEN_SECONDS)
    const { requested, release } = delayedResponse(issuer)
    const refreshing = alice.request(`${APP}/token`)
    await requested
    const leaving = alice.request(`${APP}/auth/logout`, logout)
    await logoutArrived.promise
    await turns()
    release()
    await Promise.all([refreshing, leaving])
    t.equal(issuer.revocations[0]?.get('token'), issuer.answers[1]?.refresh_token)
    // Whichever response came last.
    alice.receive(await refreshing)
    t.equal((await alice.request(`${APP}/who`)).body, 'nobody')
  })
}

t.test('an issuer that hangs is waited for as long as the option says', async (t) => {
  const { app, signedIn, issuer, time, copyOf } = await openidWorld(t)
  const store = memoryStore({ clock: time.clocks.clock })
  const [one, hasty] = [await app({ store }), await app({ store, timeoutMs: 20 })]
  const alice = await signedIn(one)
  time.tick(TOKEN_SECONDS)
  for (const path of ['/.well-known/openid-configuration', '/token']) issuer.routes.set(path, () => {})
  t.equal((await copyOf(alice, hasty).request(`${APP}/token`)).json().code, 'ISSUER_UNAVAILABLE')
})

t.test('two processes with one store end up with the same refreshed session', async (t) => {
  const { app, signedIn, issuer, time, copyOf } = await openidWorld(t, { window: true })
  const store = memoryStore({ clock: time.clocks.clock })
  const [one, two] = [await app({ store }), await app({ store })]
  const alice = await signedIn(one)
  const other = copyOf(alice, two)
  time.tick(TOKEN_SECONDS)
  const { requested, release } = delayedResponse(issuer)
  const first = alice.request(`${APP}/token`)
  await requested
  t.same((await other.request(`${APP}/token`)).json(), { nth: 1 })
  release()
  t.same((await first).json(), { nth: 1 })
  t.equal(issuer.refreshes.length, 2)
  time.tick(TOKEN_SECONDS)
  t.same((await alice.request(`${APP}/token`)).json(), { nth: 2 })
  t.same((await other.request(`${APP}/token`)).json(), { nth: 2 })
  t.equal(issuer.refreshes[2]?.get('refresh_token'), issuer.answers[1]?.refresh_token)
})

t.test(
  'a process whose refresh token was already used takes the session that the first process stored',
  async (t) => {
    const { app, signedIn, issuer, time, copyOf } = await openidWorld(t)
    const store = memoryStore({ clock: time.clocks.clock })
    const first = Promise.withResolvers<Answer>()
    let looks = 0
    const late: SessionStore = {
      ...store,
      async get(key) {
        // The second process looks twice after it was refused; the first stores its session between the two.
        if (issuer.answers.length === 3) looks += 1
        if (looks === 2) {
          release()
          await first.promise
        }
        return store.get(key)
      },
    }
    const [one, two] = [await app({ store }), await app({ store: late })]
    const alice = await signedIn(one)
    time.tick(TOKEN_SECONDS)
    const { requested, release } = delayedResponse(issuer)
    alice.request(`${APP}/token`).then(first.resolve, first.reject)
    await requested
    const second = copyOf(alice, two).request(`${APP}/token`)
    t.same((await first.promise).json(), { nth: 1 })
    t.same((await second).json(), { nth: 1 })
    t.equal(looks, 2)
    t.equal(issuer.answers[2]?.error, 'invalid_grant')
  },
)

t.test('a logout in another process during a refresh revokes the tokens of the refresh', async (t) => {
  const { app, signedIn, issuer, time, copyOf } = await openidWorld(t)
  const store = memoryStore({ clock: time.clocks.clock })
  const [one, two] = [await app({ store }), await app({ store })]
  const alice = await signedIn(one)
  time.tick(TOKEN_SECONDS)
  const { requested, release } = delayedResponse(issuer)
  const refreshing = alice.request(`${APP}/token`)
  await requested
  t.equal((await copyOf(alice, two).request(`${APP}/auth/logout`, logout)).status, 200)
  release()
  t.equal((await refreshing).json().code, 'SESSION_ENDED')
  t.equal(issuer.revocations.at(-1)?.get('token'), issuer.answers[1]?.refresh_token)
})

t.test(
  'cookie: two processes refresh the same cookie, and both responses work afterwards (REFRESH_GRACE)',
  async (t) => {
    const { app, signedIn, time, copyOf } = await openidWorld(t, { window: true })
    const [one, two, three] = [
      await app({ store: 'cookie' }),
      await app({ store: 'cookie' }),
      await app({ store: 'cookie' }),
    ]
    const alice = await signedIn(one)
    const other = copyOf(alice, two)
    time.tick(TOKEN_SECONDS)
    const [first, second] = await Promise.all([alice.request(`${APP}/token`), other.request(`${APP}/token`)])
    t.same([first.json(), second.json()], [{ nth: 1 }, { nth: 1 }])
    alice.receive(second)
    const elsewhere = copyOf(alice, three)
    t.same((await elsewhere.request(`${APP}/token`)).json(), { nth: 1 })
    time.tick(TOKEN_SECONDS)
    t.same((await elsewhere.request(`${APP}/token`)).json(), { nth: 2 })
  },
)

t.test('cookie: a late response neither restores old tokens nor removes new ones', async (t) => {
  const { app, signedIn, issuer, time, copyOf } = await openidWorld(t)
  const one = await app({ store: 'cookie' })
  // This process knows only what is in the browser's cookies.
  const fresh = () => app({ store: 'cookie' })
  const alice = await signedIn(one)
  const begun = copyOf(alice)
  const late = []
  for (let i = 0; i < 3; i += 1) {
    time.tick(TOKEN_SECONDS)
    late.push(await alice.request(`${APP}/token`))
  }
  for (const answer of [late[1], late[0], late[2], late[0]]) {
    if (answer) alice.receive(answer)
    t.same((await copyOf(alice, await fresh()).request(`${APP}/token`)).json(), { nth: 3 })
  }
  t.equal(issuer.refreshes.length, 3)
  await alice.request(`${APP}/who`)
  const generations = [...alice.cookies(APP).keys()].filter((name) => name.endsWith('.0'))
  t.equal(generations.length, 1, 'older cookies are removed')

  // Another process gets the first cookie, whose refresh token was already used, so there the session has ended.
  const refused = await copyOf(begun, await fresh()).request(`${APP}/token`)
  t.equal(refused.json().code, 'SESSION_ENDED')
  alice.receive(refused)
  t.equal((await alice.request(`${APP}/who`)).body, 'alice', 'it clears its own cookie only')
})

t.test('cookie: a request with the cookie from before a refresh gets the cookie from after it', async (t) => {
  const { app, signedIn, issuer, time, copyOf } = await openidWorld(t)
  const one = await app({ store: 'cookie' })
  const alice = await signedIn(one)
  time.tick(TOKEN_SECONDS)
  const tab = copyOf(alice)
  await alice.request(`${APP}/token`)
  t.same((await tab.request(`${APP}/token`)).json(), { nth: 1 })
  t.equal(issuer.refreshes.length, 1)
  t.same((await copyOf(tab, await app({ store: 'cookie' })).request(`${APP}/token`)).json(), { nth: 1 })
})

t.test(
  'cookie: long tokens are split into several cookies, and a sign-in with longer ones leaves nothing behind',
  async (t) => {
    const long = await openidWorld(t, { bulk: 'x'.repeat(1500) })
    await long.app({ store: 'cookie' })
    const alice = await long.signedIn()
    const parts = [...alice.cookies(APP).keys()].filter((name) => /\.[0-9]+\.[0-9]$/.test(name))
    t.equal(parts.length, 2)
    t.equal((await alice.request(`${APP}/who`)).body, 'alice')
    for (const part of parts) {
      const copy = long.copyOf(alice)
      copy.cookies(APP).delete(part)
      t.equal((await copy.request(`${APP}/who`)).body, 'nobody', 'with one cookie missing')
    }
    long.time.tick(TOKEN_SECONDS)
    t.same((await alice.request(`${APP}/token`)).json(), { nth: 1 })

    const huge = await openidWorld(t, { bulk: 'x'.repeat(6000) })
    await huge.app({ store: 'cookie' })
    const bob = huge.browser()
    const answer = await bob.visit(`${APP}/auth/login`)
    t.equal(answer.status, 500)
    t.equal(answer.json().code, 'SESSION_TOO_LARGE')
    t.same([...bob.cookies(APP).keys()], [])
    t.equal(huge.issuer.revocations.length, 1)
  },
)

t.test(
  'Strict: the callback redirects through a page of the app, and the cookie of the sign-in stays Lax',
  async (t) => {
    const { app, browser } = await openidWorld(t)
    await app({ sameSite: 'Strict' })
    const alice = browser()
    const step = await alice.visit(`${APP}/auth/login?return_to=/page?a=%22%3E%26`)
    t.equal(step.status, 200)
    t.match(step.body, `content="0;url=${APP}/page?a=%22%3E&#38;"`)
    t.equal((await alice.visit(`${APP}/page`)).body, 'page')
    const lines = alice.seen
      .filter(({ url }) => url.startsWith(APP))
      .flatMap(({ headers }) => headers['set-cookie'] ?? [])
    for (const line of lines.filter((one) => !one.includes('Max-Age=0'))) {
      const { name, attributes } = parseCookie(line)
      t.equal(attributes.samesite, name.includes('.tx.') ? 'Lax' : 'Strict', name)
    }
  },
)

t.test('on plain http of this machine, cookies have neither the prefix nor Secure', async (t) => {
  const { app, browser } = await openidWorld(t)
  const process = await app({ baseUrl: 'http://localhost:3000' })
  const answer = await browser().request(`${process}/auth/login`)
  const [line = ''] = answer.headers['set-cookie'] ?? []
  t.match(line, /^session-3000\.tx\./)
  t.match(line, /; HttpOnly; SameSite=Lax$/)
  t.notMatch(line, /Secure/)
  t.equal(
    new URL(answer.location ?? '').searchParams.get('redirect_uri'),
    'http://localhost:3000/auth/callback',
  )
})

t.test('a client can authenticate with a private key (private_key_jwt, RFC 7523)', async (t) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const clientKey = { ...(await exportJWK(publicKey)), kid: 'web-1', alg: 'ES256', use: 'sig' }
  const { app, signedIn, time } = await openidWorld(t, { clientKey })
  await app({ privateKey: { key: privateKey, kid: 'web-1' } })
  const alice = await signedIn()
  time.tick(TOKEN_SECONDS)
  t.same((await alice.request(`${APP}/token`)).json(), { nth: 1 })
})

t.test(
  'the memory store drops the least recently used sessions, and its put is a compare-and-swap',
  async (t) => {
    let now = 1000
    const store = memoryStore({ maxSessions: 3, clock: () => now })
    for (const key of ['a', 'b', 'c']) t.ok(await store.put(key, key, 2000, 0, 'user'))
    t.notOk(await store.put('a', 'other', 2000, 0, 'user'))
    t.ok(await store.put('a', 'newer', 2000, 1, 'user'))
    t.notOk(await store.put('a', 'other', 2000, 1, 'user'))
    await store.put('d', 'd', 2000, 0, 'user')
    t.equal(await store.get('b'), undefined)
    t.match(await store.get('a'), { value: 'newer', version: 2 })
    await store.touch('a', 3000)
    now = 2000
    t.equal(await store.get('d'), undefined)
    t.match(await store.get('a'), { value: 'newer', version: 2, expiresAt: 3000 })
    await store.delete('a')
    t.equal(await store.get('a'), undefined)
  },
)

t.test('unusable and unsafe options are refused at the start', async (t) => {
  const good = { issuer: 'https://auth.example', clientId: CLIENT_ID, secret: secret(1), baseUrl: APP }
  t.equal(resolveOptions(good).scope, 'openid')
  const bad: Partial<BrowserSessionOptions>[] = [
    { issuer: 'http://auth.example' },
    { issuer: 'x' },
    { baseUrl: 'http://app.example' },
    { baseUrl: `${APP}/path` },
    { baseUrl: 'http://localhost.evil.example' },
    { secret: 'short' },
    { secret: [] },
    { secret: [secret(1), Buffer.alloc(16)] },
    { clientId: '' },
    { clientSecret: 'x', privateKey: {} as never },
    { sameSite: 'None' as never },
    { cookieName: 'a b' },
    { cookieName: 'a;' },
    { csrfHeader: 'accept' },
    { idleSeconds: 0 },
    { paths: { login: '//evil' } },
    { paths: { login: '/auth/callback' } },
    { afterLogout: 'https://evil.example' },
    { authorizationParameters: { state: 'x' } },
    { authorizationParameters: { code_challenge_method: 'plain' } },
  ]
  for (const option of bad)
    t.throws(() => resolveOptions({ ...good, ...option }), TypeError, JSON.stringify(option))
})

t.test('a token whose lifetime is shorter than refreshAhead is not refreshed on each request', async (t) => {
  const { app, signedIn, issuer, time } = await openidWorld(t)
  await app({ refreshAhead: 10 * TOKEN_SECONDS })
  const alice = await signedIn()
  for (let i = 0; i < 3; i += 1) t.same((await alice.request(`${APP}/token`)).json(), { nth: 0 })
  time.tick(TOKEN_SECONDS / 2)
  for (let i = 0; i < 3; i += 1) t.same((await alice.request(`${APP}/token`)).json(), { nth: 1 })
  t.equal(issuer.refreshes.length, 1)
})

t.test(
  'a refresh that returns the ID token of another user ends the session (OpenID Connect Core §12.2)',
  async (t) => {
    const { app, signedIn, issuer, time } = await openidWorld(t)
    await app()
    const alice = await signedIn()
    issuer.account = 'mallory'
    await signedIn()
    const { id_token, ...tokens } = issuer.answers[1] ?? {}
    const answer = JSON.stringify({ ...tokens, id_token, token_type: 'Bearer', expires_in: 60 })
    issuer.routes.set('/token', (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer)
    })
    time.tick(TOKEN_SECONDS)
    t.equal((await alice.request(`${APP}/token`)).json().code, 'SESSION_ENDED')
    t.equal((await alice.request(`${APP}/who`)).body, 'nobody')
  },
)
