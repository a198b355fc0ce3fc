import t from 'tap'
import type { Api } from '../../src/store/contracts/apis.ts'
import { openBrowser, type Page } from '../support/browser/browser.ts'
import { clientGetsError, protectionProblems, userGetsError } from '../support/browser/page-assertions.ts'
import {
  authorizeUrl,
  codeClient,
  completePages,
  freshCode,
  NATIVE_SCHEME,
  type Overrides,
  redeem,
  seedUsers,
  signIn,
  tokensOf,
  WEB_REDIRECT,
} from '../support/browser/sign-in.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { pngImage } from '../support/server/image-server.ts'
import { claimsOf } from '../support/server/requests.ts'
import { ORDERS } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'

const LOGO = 'l'.repeat(43)
const XSS = `<script>alert(1)</script>"><img src=x onerror=alert(2)>'\`{{7*7}}`

const server = await testServer()
t.teardown(() => server.close())
const { store, clock, logger } = server
const { alice } = await seedUsers(store)
await store.clients.insert(
  codeClient({ id: 'evil', name: XSS, scopes: ['openid', 'orders:read', '<b>', "'onload='x"] }),
)
await store.clients.insert(codeClient({ id: 'narrow', scopes: ['openid', 'orders:read'] }))
await store.clients.insert(codeClient({ id: 'bare', scopes: [] }))

const signedInBrowser = openBrowser(server)
await signIn(signedInBrowser, { client_id: 'own' })
const ask = (overrides: Overrides = {}) => signedInBrowser.open(authorizeUrl(overrides))
const forget = (client = 'web') => store.consents.delete(alice.id, client)
const answer = (page: Page, press: 'allow' | 'deny', remember = false) =>
  signedInBrowser.submit(page, { form: '/consent', press, ...(remember ? { check: ['remember'] } : {}) })
const hasCode = (page: Page) => page.away?.params.has('code') ?? false
const scopeOf = async (page: Page, as = 'web') =>
  tokensOf(await redeem(server, page.away?.params.get('code') ?? '', { as })).scope

t.test(
  'the consent page shows the client, the scopes and the user, with protective headers (docs/security.md C40, C41, C43)',
  async (t) => {
    const page = await ask({ scope: 'openid email orders:read stock:nothing' })
    t.same([page.status, page.path, protectionProblems(page)], [200, '/consent', []])
    for (const text of ['The web application', 'alice', 'orders:read', ORDERS, 'app.test'])
      t.match(page.body, text)
    t.notMatch(page.body, 'stock:nothing')
    const { buttons, checkboxes, fields } = page.form('/consent')
    t.same(buttons.map(({ value }) => value).sort(), ['allow', 'deny'])
    t.same([...checkboxes.keys()], ['remember'])
    t.notOk(fields.has('remember'), 'the checkbox is not preselected')
  },
)

t.test(
  'the consent page shows the logo of the client, from this server alone, and links to its pages',
  async (t) => {
    const body = pngImage(8, [1, 2, 3])
    await store.clientLogos.put({ hash: LOGO, contentType: 'image/png', body, createdAt: clock.now() })
    const pages = {
      clientUri: 'https://shop.test/?a=1&b=2',
      policyUri: 'https://shop.test/privacy#apps',
      tosUri: 'https://shop.test/terms',
    }
    const logoUri = 'https://shop.test/logo.png'
    await store.clients.insert(codeClient({ id: 'shown', logoUri, logo: LOGO, ...pages }))
    const page = await ask({ client_id: 'shown' })
    t.same(protectionProblems(page), [])
    const path = `/assets/client-logos/${LOGO}`
    t.match(page.body, `<img class="client-logo" src="${path}" alt="">`)
    t.notMatch(page.body, 'logo.png')
    for (const url of Object.values(pages))
      t.match(page.body, `<a rel="noreferrer" href="${url.replaceAll('&', '&amp;')}">`)
    t.match(page.headers['content-security-policy'], "img-src 'self'")

    const logo = await server.inject({ url: path })
    t.same([logo.statusCode, logo.headers['content-type'], logo.rawPayload], [200, 'image/png', body])
    t.match(logo.headers, {
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'",
    })
    const again = await server.inject({ url: path, headers: { 'if-none-match': String(logo.headers.etag) } })
    t.equal(again.statusCode, 304)
    for (const other of ['x'.repeat(43), 'x', `${LOGO}.png`, '..%2f..%2f'])
      t.equal((await server.inject({ url: `/assets/client-logos/${other}` })).statusCode, 404, other)
    const plain = await ask()
    for (const markup of ['client-logo', 'noreferrer']) t.notMatch(plain.body, markup)
  },
)

t.test(
  'the consent page shows the name of the API and the texts of its scopes, if it has them',
  async (t) => {
    const before = await store.apis.find(ORDERS)
    const shown = { name: 'Orders <of> Acme', scopeTexts: { 'orders:read': 'See your <orders>' } }
    await store.apis.update(ORDERS, (api) => ({ ...api, ...shown }))
    await server.poll()
    const page = await ask({ scope: 'openid orders:read orders:write' })
    for (const text of [
      'Orders &lt;of&gt; Acme',
      'See your &lt;orders&gt;',
      'know who you are',
      '<bdi>orders:write</bdi>',
    ])
      t.match(page.body, text)
    const visible = page.body.replace(/<input[^>]*>/g, '')
    for (const raw of [ORDERS, 'orders:read']) t.notMatch(visible, raw)
    t.ok(hasCode(await answer(page, 'allow', true)))
    const account = await signedInBrowser.open('/account')
    for (const text of ['Orders &lt;of&gt; Acme', 'See your &lt;orders&gt;']) t.match(account.body, text)
    await forget()
    await store.apis.update(ORDERS, () => before as Api)
    await server.poll()
  },
)

t.test(
  'consent is asked for again unless remembered, and remembered consent is extended by asking (RFC 6749 §10.2, OpenID Connect Core §3.1.2.1; docs/security.md C44, M137)',
  async (t) => {
    t.ok(hasCode(await answer(await ask(), 'allow')))
    t.equal((await ask()).path, '/consent', 'not remembered')
    t.ok(hasCode(await answer(await ask(), 'allow', true)))
    t.ok(hasCode(await ask()), 'remembered')
    t.ok(hasCode(await ask({ scope: 'openid' })), 'and a subset too')
    t.ok(hasCode(await ask({ prompt: 'none' })))
    t.equal(
      (await ask({ scope: 'openid orders:read orders:write' })).path,
      '/consent',
      'a larger scope asks again',
    )
    const silent = await ask({ scope: 'openid orders:write', prompt: 'none' })
    clientGetsError(t, silent, { error: 'consent_required' }, 'or is refused with prompt=none')
    t.equal((await ask({ prompt: 'consent' })).path, '/consent', 'and so does prompt=consent')
    t.equal((await ask({ client_id: 'lax' })).path, '/consent', 'another client needs its own consent')
    const bob = openBrowser(server)
    const page = await bob.submit(await bob.open(authorizeUrl()), {
      form: '/login',
      fill: { username: 'bob', password: 'correct horse battery staple' },
    })
    t.equal(page.path, '/consent', 'and so does another user')
    // A later consent does not replace an earlier one.
    await answer(await ask({ scope: 'openid orders:write' }), 'allow', true)
    t.ok(hasCode(await ask({ scope: 'openid orders:read orders:write' })))
    await forget()
    t.equal((await ask()).path, '/consent', 'revoked')
  },
)

t.test(
  'a claim requested by name needs the same consent as its scope (OpenID Connect Core §5.5)',
  async (t) => {
    await answer(await ask({ scope: 'openid' }), 'allow', true)
    const claims = JSON.stringify({ userinfo: { email: { essential: true } } })
    t.equal((await ask({ scope: 'openid', claims })).path, '/consent')
    const none = await ask({ scope: 'openid', claims, prompt: 'none' })
    clientGetsError(t, none, { error: 'consent_required' })
    t.ok(hasCode(await answer(await ask({ scope: 'openid', claims }), 'allow', true)))
    t.ok(hasCode(await ask({ scope: 'openid', claims })))
    await forget()
  },
)

t.test(
  'denied consent returns access_denied with state and iss, and is not remembered (RFC 6749 §4.1.2, RFC 9207 §2; docs/security.md C36, C37)',
  async (t) => {
    const count = logger.audits('consent.denied').length
    clientGetsError(t, await answer(await ask(), 'deny'), { error: 'access_denied' })
    clientGetsError(t, await answer(await ask(), 'deny', true), { error: 'access_denied' })
    t.equal(logger.audits('consent.denied').length, count + 2)
    t.equal((await ask()).path, '/consent')
    const posted = await answer(await ask({ response_mode: 'form_post' }), 'deny')
    clientGetsError(t, await signedInBrowser.send(posted), { error: 'access_denied' }, 'by form_post')
  },
)

t.test(
  'first-party clients skip the consent page unless they request it (RFC 6749 §10.2, RFC 8252 §8.6; docs/security.md C44)',
  async (t) => {
    t.ok(hasCode(await ask({ client_id: 'own', scope: 'openid email offline_access orders:write' })))
    t.equal((await ask({ client_id: 'own', prompt: 'consent' })).path, '/consent')
  },
)

t.test(
  'at an issuer on this machine a first-party client is never asked for consent, whatever its redirect URI',
  async (t) => {
    const redirect_uri = 'http://127.0.0.1:5000/callback'
    for (const [ISSUER, path] of [
      ['http://localhost:3000', undefined],
      ['http://127.0.0.1:3000', undefined],
      ['https://issuer.test', '/consent'],
    ] as const) {
      const local = await testServer({ settings: { ISSUER } })
      t.teardown(() => local.close())
      await seedUsers(local.store)
      for (const [id, firstParty] of [
        ['ours', true],
        ['theirs', false],
      ] as const) {
        await local.store.clients.insert(
          codeClient({ id, firstParty, authMethod: 'none', redirectUris: [redirect_uri] }),
        )
      }
      const browser = openBrowser(local)
      await signIn(browser, { client_id: 'ours', redirect_uri })
      const ours = await browser.open(authorizeUrl({ client_id: 'ours', redirect_uri }))
      t.equal(ours.away ? undefined : ours.path, path, ISSUER)
      t.equal(
        (await browser.open(authorizeUrl({ client_id: 'theirs', redirect_uri }))).path,
        '/consent',
        ISSUER,
      )
      const asked = await browser.open(authorizeUrl({ client_id: 'ours', redirect_uri, prompt: 'consent' }))
      t.equal(asked.path, '/consent', 'unless it asks for the page')
    }
  },
)

t.test(
  'an app that another program could impersonate asks for consent every time (RFC 8252 §8.6; docs/security.md C44, P26)',
  async (t) => {
    for (const redirect_uri of [
      'http://127.0.0.1/callback',
      'http://127.0.0.1:5000/callback',
      NATIVE_SCHEME,
    ]) {
      for (let i = 0; i < 2; i += 1) {
        const page = await ask({ client_id: 'native', redirect_uri })
        t.same([page.path, [...page.form('/consent').checkboxes.keys()]], ['/consent', []])
        const { url, fields } = { url: '/consent', fields: page.form('/consent').fields }
        const body = String(new URLSearchParams([...fields, ['decision', 'allow'], ['remember', 'yes']]))
        t.ok(
          (await signedInBrowser.open(url, { method: 'POST', body, from: 'same-origin' })).away,
          'an invented value is not stored',
        )
      }
      clientGetsError(t, await ask({ client_id: 'native', redirect_uri, prompt: 'none' }), {
        error: 'consent_required',
        to: redirect_uri,
      })
    }
    // Nor does it count if it is stored, for example from when the client had another redirect URI.
    const scopes = ['openid', 'orders:read']
    await store.consents.add({
      userId: alice.id,
      clientId: 'native',
      audience: ORDERS,
      scopes,
      grantedAt: clock.now(),
    })
    t.equal((await ask({ client_id: 'native' })).path, '/consent')
    await answer(await ask({ client_id: 'spa' }), 'allow', true)
    t.ok(hasCode(await ask({ client_id: 'spa' })), 'an https URI identifies its owner')
  },
)

t.test(
  'consent covers only the scopes shown: a role granted in between shows the page again (RFC 6749 §10.12; docs/security.md C41)',
  async (t) => {
    await store.users.removeRole(alice.id, 'clerk')
    const before = await ask({ scope: 'openid orders:read' })
    t.notMatch(before.body, 'orders:read')
    await store.users.addRole(alice.id, 'clerk')
    const again = await answer(before, 'allow', true)
    t.same([again.status, again.path, again.away], [200, '/consent', null])
    t.match(again.body, 'orders:read')
    t.equal(await store.consents.find(alice.id, 'web', ORDERS), null, 'nothing was stored')
    t.equal(await scopeOf(await answer(again, 'allow')), 'openid orders:read')
    // A subset of the shown scopes needs no second page.
    const more = await ask({ scope: 'openid orders:read' })
    await store.users.removeRole(alice.id, 'clerk')
    t.equal(await scopeOf(await answer(more, 'allow')), 'openid')
    await store.users.addRole(alice.id, 'clerk')
  },
)

t.test(
  'a consent form cannot be forged or reused for another request (RFC 6749 §10.12; docs/security.md C41, P22)',
  async (t) => {
    const little = (await ask({ scope: 'openid' })).form('/consent').fields
    const page = await ask({ scope: 'openid orders:read' })
    const much = page.form('/consent').fields
    for (const [label, shown] of Object.entries({
      'of another request': little.get('shown') ?? '',
      'with more in it': `${little.get('shown')} orders:read`,
      'without its proof': ' openid orders:read',
      empty: '',
      'in other letters': 'é'.repeat((much.get('shown') ?? '').length),
      'too long': `${much.get('shown')} orders:write`,
    })) {
      const sent = await signedInBrowser.submit(page, { form: '/consent', press: 'allow', fill: { shown } })
      t.same([sent.status, sent.path, sent.away], [200, '/consent', null], label)
    }
    // The flow value of another request, with the scopes shown for this one.
    const mixed = await signedInBrowser.submit(page, {
      form: '/consent',
      press: 'allow',
      fill: { flow: little.get('flow') ?? '' },
    })
    t.same([mixed.status, mixed.path, mixed.away], [200, '/consent', null])
  },
)

t.test(
  'a consent form of another site, session or browser is refused as CSRF (RFC 6749 §10.12; docs/security.md C41)',
  async (t) => {
    const page = await ask()
    const { fields } = page.form('/consent')
    const decide = (more: [string, string][] = []) =>
      String(
        new URLSearchParams([
          ...new Map([...fields, ['decision', 'allow'], ['remember', 'yes'], ...more] as [string, string][]),
        ]),
      )
    const mallory = openBrowser(server)
    await signIn(mallory, { client_id: 'own' }, { username: 'bob' })
    const malloryFields = (await mallory.open(authorizeUrl())).form('/consent').fields
    const post = { method: 'POST', from: 'same-origin' } as const
    await writesNothing(t, server, async () => {
      for (const [label, body] of Object.entries({
        'no token': decide([['csrf', '']]),
        'the token of mallory': decide([['csrf', malloryFields.get('csrf') ?? '']]),
        'all of mallory’s fields': String(new URLSearchParams([...malloryFields, ['decision', 'allow']])),
        'a token in other letters': decide([['csrf', 'é'.repeat(43)]]),
      })) {
        userGetsError(t, await signedInBrowser.open('/consent', { ...post, body }), label)
      }
      for (const from of ['cross-site', 'none'] as const) {
        userGetsError(
          t,
          await signedInBrowser.open('/consent', { method: 'POST', from, body: decide() }),
          from,
        )
      }
      userGetsError(
        t,
        await mallory.open('/consent', { ...post, body: decide() }),
        'in the attacker’s browser',
      )
      userGetsError(
        t,
        await openBrowser(server).open('/consent', { ...post, body: decide() }),
        'in a browser without our cookies',
      )
      // GET decides nothing.
      t.equal((await signedInBrowser.open(`/consent?${decide()}`)).path, '/consent')
      userGetsError(
        t,
        await signedInBrowser.open('/consent', { ...post, body: decide([['decision', 'maybe']]) }),
        'neither allow nor deny',
      )
    })
    // The browser is the same, but another user is signed in.
    const shared = openBrowser(server)
    await signIn(shared, { client_id: 'own' })
    const left = await shared.open(authorizeUrl())
    await completePages(shared, await shared.open(authorizeUrl({ client_id: 'own', prompt: 'login' })), {
      username: 'bob',
    })
    userGetsError(
      t,
      await shared.submit(left, { form: '/consent', press: 'allow' }),
      'the page of the previous user',
    )
  },
)

t.test('a consent form submitted after sign-out is not accepted', async (t) => {
  const browser = openBrowser(server)
  await signIn(browser, { client_id: 'own' })
  const page = await browser.open(authorizeUrl())
  for (const { id } of await store.userSessions.list(alice.id, clock.now()))
    await store.userSessions.end(id, clock.now(), 'test')
  const sent = await browser.submit(page, { form: '/consent', press: 'allow', check: ['remember'] })
  t.equal(hasCode(sent), false)
  t.equal(await store.consents.find(alice.id, 'web', ORDERS), null)
  await signIn(signedInBrowser, { client_id: 'own' })
})

t.test(
  'client names and scopes are rendered as text (RFC 6749 §10.14; docs/security.md C48, P25)',
  async (t) => {
    const page = await ask({ client_id: 'evil', scope: `openid <b> 'onload='x`, state: XSS })
    t.same([page.path, protectionProblems(page)], ['/consent', []])
    t.notMatch(page.body, /<script>alert|<img src=x|<b>/)
    t.match(page.body, '&lt;script&gt;alert(1)&lt;/script&gt;')
    const login = await openBrowser(server).open(
      authorizeUrl({ client_id: 'evil', login_hint: XSS, ui_locales: XSS }),
    )
    t.same(protectionProblems(login), [])
    t.notMatch(login.body, /<script>alert|<img src=x/)
  },
)

t.test(
  'offline_access needs explicit consent or a first-party client, and is described on the page (OpenID Connect Core §11; docs/security.md M140)',
  async (t) => {
    const page = await ask({ scope: 'openid offline_access' })
    t.equal(page.path, '/consent')
    t.equal(await scopeOf(await answer(page, 'allow')), 'openid offline_access')
    t.equal(
      await scopeOf(await ask({ client_id: 'own', scope: 'openid offline_access' }), 'own'),
      'openid offline_access',
    )
    const text = await freshCode(server, { client_id: 'narrow', scope: 'openid offline_access' })
    t.equal(
      tokensOf(await redeem(server, text, { as: 'narrow' })).scope,
      'openid',
      'left out where it is not registered',
    )
  },
)

t.test('a client that requests no scope still needs consent', async (t) => {
  const page = await ask({ client_id: 'bare', scope: undefined, redirect_uri: WEB_REDIRECT })
  t.equal(page.path, '/consent')
  t.ok(hasCode(await answer(page, 'allow')))
})

t.test(
  'a default audience other than this server is named on the consent page and the account page, and needs its own consent (RFC 6749 §10.2; docs/security.md S3)',
  async (t) => {
    const AUDIENCE = 'https://all.example'
    const server = await testServer({ settings: { DEFAULT_AUDIENCE: AUDIENCE } })
    t.teardown(() => server.close())
    await seedUsers(server.store)
    const sentences = { en: 'This access is for', de: 'Dieser Zugriff gilt für' }
    const browser = openBrowser(server)
    await signIn(browser, { client_id: 'own' })
    for (const [language, sentence] of Object.entries(sentences)) {
      const ask = (scope: string) => browser.open(authorizeUrl({ scope, ui_locales: language }))
      const protocol = await ask('openid email')
      t.equal(protocol.path, '/consent')
      t.match(protocol.body, new RegExp(`${sentence} [^.]*${AUDIENCE}`), language)
      const api = await ask('openid orders:read')
      t.match(api.body, ORDERS)
      t.notMatch(api.body, AUDIENCE, 'the scopes of an API are for the API')
    }

    // Consent for an API says nothing about the default audience.
    const allow = async (scope: string) =>
      browser.submit(await browser.open(authorizeUrl({ scope })), {
        form: '/consent',
        press: 'allow',
        check: ['remember'],
      })
    t.ok(hasCode(await allow('openid orders:read')))
    const silent = () => browser.open(authorizeUrl({ scope: 'openid', prompt: 'none' }))
    clientGetsError(t, await silent(), { error: 'consent_required' })
    const page = await allow('openid')
    t.ok(hasCode(page))
    t.ok(hasCode(await silent()))
    const { access_token } = tokensOf(
      await redeem(server, page.away?.params.get('code') ?? '', { as: 'web' }),
    )
    t.equal(claimsOf(access_token).aud, AUDIENCE)
    const account = await browser.open('/account')
    t.match(account.body, new RegExp(`Permissions for [^:]*${AUDIENCE}`))
    t.match(account.body, new RegExp(`Permissions for [^:]*${ORDERS}`))
  },
)

t.test('a token for this server is not named as an audience', async (t) => {
  t.notMatch((await ask({ scope: 'openid email' })).body, 'This access is for')
})
