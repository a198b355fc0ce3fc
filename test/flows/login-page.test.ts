import t, { type Test } from 'tap'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import { clientGetsError, protectionProblems, userGetsError } from '../support/browser/page-assertions.ts'
import {
  AUTHORIZE,
  authorizeUrl,
  codeClient,
  completePages,
  type Overrides,
  OWN_REDIRECT,
  redeem,
  seedUsers,
  signIn,
  tokensOf,
} from '../support/browser/sign-in.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { claimsOf } from '../support/server/requests.ts'
import { PASSWORD } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'

const SESSION = '__Host-keyturn-session'
const BROWSER = '__Host-keyturn-browser'

const server = await testServer()
t.teardown(() => server.close())
const { store, clock } = server
const { alice, bob } = await seedUsers(store)
await store.clients.insert(
  codeClient({ id: 'strong', firstParty: true, requireSecondFactor: true, redirectUris: [OWN_REDIRECT] }),
)

const own = (overrides: Overrides = {}) => authorizeUrl({ client_id: 'own', ...overrides })
const fill = (username = 'alice', password = PASSWORD) => ({ form: '/login', fill: { username, password } })
/** The text of the page, without markup and without what differs each time. */
const visibleText = ({ body }: Page) =>
  body.replace(/value="[^"]*"|href="[^"]*"|data-[a-z-]+="[^"]*"/g, '').replace(/<[^>]*>|\s+/g, ' ')
const subOf = async (page: Page, as = 'own') => {
  const code = page.away?.params.get('code')
  if (!code) throw new Error(`no code but ${page.status} ${page.path}: ${visibleText(page)}`)
  return claimsOf(tokensOf(await redeem(server, code, { as })).id_token).sub
}

t.test(
  'a wrong password, an unknown user and a disabled user all see the same page (RFC 6749 §10.12; docs/security.md C41)',
  async (t) => {
    const browser = openBrowser(server)
    const page = await browser.open(own())
    t.same([page.status, page.path, protectionProblems(page)], [200, '/login', []])
    const answers: Page[] = []
    for (const [username, password] of [
      ['alice', 'wrong'],
      ['nobody', 'wrong'],
      ['nobody', PASSWORD],
      ['"><img src=x onerror=alert(1)>', 'x'],
      ['a'.repeat(1000), 'x'],
      ['alice\n', 'x'],
      ['\u202Eecila', 'x'],
    ] as const) {
      answers.push(await browser.send(page, fill(username, password)))
    }
    await store.users.setDisabled(bob.id, true)
    answers.push(await browser.send(page, fill('bob')))
    await store.users.setDisabled(bob.id, false)
    for (const answer of answers) {
      t.same([answer.status, answer.location, protectionProblems(answer)], [400, undefined, []])
      t.equal(visibleText(answer), visibleText(answers[0] ?? answer))
      t.notOk(browser.cookies().has(SESSION))
      t.notMatch(answer.body, /<img src=x|password" value/)
    }
    t.equal(
      answers[3]?.form('/login').fields.get('username'),
      '"><img src=x onerror=alert(1)>',
      'kept, as text',
    )
    for (const name of ['username', 'password']) {
      const nothing = await browser.send(page, { form: '/login', fill: { ...fill().fill, [name]: '' } })
      t.equal(nothing.status, 400, `no ${name}`)
    }
    // The login continues from that page.
    t.equal(await subOf(await browser.submit(answers[0] ?? page, fill())), alice.id)
  },
)

t.test(
  'too many password guesses show the time of the next allowed attempt (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19, Q14)',
  async (t) => {
    const browser = openBrowser(server)
    let page = await browser.open(own())
    for (let i = 0; i < 20 && page.status !== 429; i += 1)
      page = await browser.send(page, fill('bob', `wrong ${i}`))
    t.equal(page.status, 429)
    const seconds = Number(page.headers['retry-after'])
    t.ok(seconds > 0 && seconds < 3600, `${seconds} s`)
    t.same(protectionProblems(page), [])
    t.equal((await browser.send(page, fill('bob'))).status, 429, 'the right password is not checked either')
    clock.tick(seconds)
    t.equal(
      await subOf(await browser.submit(page, fill('bob'))),
      bob.id,
      'and from this page the login succeeds',
    )
  },
)

t.test(
  'with too many concurrent logins the page says so, and the login works later (docs/security.md Q14)',
  async (t) => {
    const browser = openBrowser(server)
    const page = await browser.open(own())
    const logins = Array.from({ length: 150 }, (_, i) => browser.send(page, fill(`nobody ${i}`, 'x')))
    const answers = await Promise.all(logins)
    const busy = answers.filter(({ status }) => status === 503)
    t.ok(busy.length > 0, `${busy.length} of ${answers.length}`)
    t.ok(busy.every((one) => Number(one.headers['retry-after']) > 0 && protectionProblems(one).length === 0))
    clock.tick(3600)
    const again = await openBrowser(server).open(own())
    t.equal(again.path, '/login')
  },
)

t.test(
  'a new user session starts at each login, and only after it (RFC 6749 §10.12; docs/security.md C41, P23)',
  async (t) => {
    const browser = openBrowser(server)
    const prepared = 'a'.repeat(43)
    browser.jar.set(SESSION, {
      name: SESSION,
      value: prepared,
      attributes: { path: '/', samesite: 'Lax' },
      until: Infinity,
    })
    const page = await browser.open(own())
    t.equal(page.path, '/login', 'a planted cookie is not accepted')
    t.equal(browser.cookies().get(SESSION), prepared)
    await browser.submit(page, fill())
    const first = browser.cookies().get(SESSION) ?? ''
    t.not(first, prepared)
    t.match(first, /^[\w-]{43}$/)
    const { attributes } = browser.jar.get(SESSION) ?? { attributes: {} }
    t.match(attributes, { path: '/', samesite: 'Lax' })
    t.ok('httponly' in attributes && 'secure' in attributes && !('domain' in attributes))
    t.notOk(
      JSON.stringify(await store.db.query('SELECT * FROM user_sessions')).includes(first),
      'stored as a hash',
    )

    const again = await browser.submit(await browser.open(own({ prompt: 'login' })), fill())
    t.equal(await subOf(again), alice.id)
    const second = browser.cookies().get(SESSION) ?? ''
    t.not(second, first)
    const thief = openBrowser(server)
    for (const value of [first, prepared, '', 'x', `${second}x`, second.toLowerCase()]) {
      thief.jar.set(SESSION, { name: SESSION, value, attributes: { path: '/' }, until: Infinity })
      t.equal((await thief.open(own())).path, '/login', 'and the previous one is invalid')
    }
    t.ok((await browser.open(own())).away)
  },
)

/** Signs in at an issuer, and returns its cookies with their attributes. */
async function cookiesAt(t: Test, ISSUER: string) {
  const tenant = await testServer({ settings: { ISSUER } })
  t.teardown(() => tenant.close())
  await seedUsers(tenant.store)
  const browser = openBrowser(tenant)
  const path = new URL(ISSUER).pathname.replace(/\/$/, '')
  const page = await browser.submit(await browser.open(`${path}/account`), fill())
  t.same([page.status, page.path], [200, `${path}/account`], ISSUER)
  return [...browser.jar.values()].map(({ name, attributes }) => ({ name, attributes }))
}

t.test(
  'at an http issuer cookies have no Secure and no __Host-, which Safari does not keep there (RFC 6265bis §4.1.3.2)',
  async (t) => {
    for (const issuer of ['http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:8080/a']) {
      const cookies = await cookiesAt(t, issuer)
      t.equal(cookies.length, 2, issuer)
      for (const { name, attributes } of cookies) {
        t.match(name, /^keyturn-(?:browser|session)-[\w-]{8}$/, issuer)
        t.notOk('secure' in attributes, issuer)
        t.match(attributes, { path: '/', httponly: '', samesite: 'Lax' }, issuer)
        t.notOk('domain' in attributes, issuer)
      }
    }
    for (const { name, attributes } of await cookiesAt(t, 'https://localhost:3000')) {
      t.match(name, /^__Host-keyturn-/, 'on https they have both, on this machine too')
      t.equal(attributes.secure, '')
    }
  },
)

t.test(
  'issuers on one host share no cookies, whether ports or paths distinguish them (RFC 6265 §8.5)',
  async (t) => {
    const names = new Set<string>()
    const issuers = [
      ...['http://localhost:3000', 'http://localhost:3001', 'http://localhost:3000/a'],
      ...['https://one.test', 'https://one.test:8443', 'https://one.test/a', 'https://one.test/b'],
    ]
    for (const issuer of issuers) for (const { name } of await cookiesAt(t, issuer)) names.add(name)
    t.equal(names.size, 2 * issuers.length)
    t.ok(names.has(SESSION) && names.has(BROWSER), 'an issuer that is alone on its host needs no suffix')
  },
)

t.test('two tabs proceed independently, and one login serves both', async (t) => {
  const browser = openBrowser(server)
  const [left, right] = [
    await browser.open(own({ state: 'left' })),
    await browser.open(own({ state: 'right' })),
  ]
  const first = await browser.submit(left, fill())
  t.equal(first.away?.params.get('state'), 'left')
  const reloaded = await browser.open(right.url)
  t.equal(reloaded.away?.params.get('state'), 'right', 'reloading skips the login page')
  const sent = await browser.submit(right, fill())
  t.equal(sent.away?.params.get('state'), 'right', 'submitting it logs in once more')
})

t.test(
  'a login form responds for the user who submits it, even if another user has signed in in another tab (RFC 6749 §10.12; docs/security.md C41)',
  async (t) => {
    const browser = openBrowser(server)
    const [left, right] = [await browser.open(own()), await browser.open(own())]
    await browser.submit(left, fill('alice'))
    const wrong = await browser.submit(right, fill('bob', 'wrong'))
    t.same([wrong.status, wrong.away], [400, null], 'a wrong password does not continue')
    const page = await browser.submit(right, fill('bob'))
    t.equal(await subOf(page), bob.id)
    // A user who asks for another account sees the login page instead of getting a response for the present one.
    const other = await browser.open(
      `${left.path}?${new URLSearchParams({ flow: left.form('/login').fields.get('flow') ?? '', account: 'other' })}`,
    )
    t.same([other.status, other.path, other.form('/login').fields.get('username')], [200, '/login', ''])
    t.equal(await subOf(await browser.submit(other, fill('alice'))), alice.id)
  },
)

t.test('signing in as another user signs the first one out, in this browser only', async (t) => {
  const [browser, elsewhere] = [openBrowser(server), openBrowser(server)]
  for (const one of [browser, elsewhere]) await signIn(one, { client_id: 'own' })
  const consent = await browser.open(authorizeUrl())
  t.equal(consent.path, '/consent')
  const link = consent.links.find((href) => href.includes('account=other')) ?? ''
  const login = await browser.open(link)
  t.equal(login.path, '/login')
  const page = await completePages(browser, login, { username: 'bob' })
  t.equal(await subOf(page, 'web'), bob.id)
  t.equal(await subOf(await browser.open(own())), bob.id)
  t.equal(await subOf(await elsewhere.open(own())), alice.id)
})

t.test(
  'a login form expires after an hour, or when used in another browser (RFC 6749 §10.12; docs/security.md C41, P22)',
  async (t) => {
    const browser = openBrowser(server)
    const page = await browser.open(own())
    const stranger = openBrowser(server)
    await stranger.open(own())
    for (const path of ['/login', AUTHORIZE, '/consent', '/login/second-factor']) {
      userGetsError(
        t,
        await stranger.open(page.url.replace('/login', path)),
        `in another browser, at ${path}`,
      )
      userGetsError(
        t,
        await openBrowser(server).open(page.url.replace('/login', path)),
        `without cookies, at ${path}`,
      )
    }
    clock.tick(3601)
    userGetsError(t, await browser.open(page.url), 'an hour later')
    userGetsError(t, await browser.submit(page, fill()), 'an hour later, submitted')
    for (const flow of ['', 'x', 'a'.repeat(20_000)]) {
      const answer = await browser.open(`${AUTHORIZE}?flow=${flow}`)
      userGetsError(t, answer, `flow=${flow.slice(0, 5)}`)
    }
  },
)

t.test(
  'a modification of any hidden field or cookie of the login page is refused (RFC 6749 §10.12; docs/security.md P22)',
  async (t) => {
    const browser = openBrowser(server)
    const page = await browser.open(own())
    const { fields } = page.form('/login')
    await writesNothing(t, server, async () => {
      for (const name of ['flow', 'csrf']) {
        const value = fields.get(name) ?? ''
        // The last character may have bits without meaning.
        for (let i = 0; i < value.length - 1; i += name === 'flow' ? 7 : 1) {
          const changed = value.slice(0, i) + (value[i] === 'A' ? 'g' : 'A') + value.slice(i + 1)
          const answer = await browser.send(page, {
            form: '/login',
            fill: { ...fill().fill, [name]: changed },
          })
          t.same(
            [answer.status, answer.location],
            [name === 'csrf' ? 403 : 400, undefined],
            `${name} at ${i}`,
          )
        }
        for (const other of ['x', 'é'.repeat(value.length), value.slice(1)]) {
          const answer = await browser.send(page, { form: '/login', fill: { ...fill().fill, [name]: other } })
          t.same([answer.status, answer.location], [name === 'csrf' ? 403 : 400, undefined], `${name}: other`)
        }
      }
      const stranger = openBrowser(server)
      const body = new URLSearchParams([...fields, ['username', 'alice'], ['password', PASSWORD]])
      t.equal(
        (await stranger.request('/login', { method: 'POST', body: String(body) })).status,
        403,
        'no cookie',
      )
      stranger.jar.set(BROWSER, { name: BROWSER, value: 'x', attributes: { path: '/' }, until: Infinity })
      t.equal(
        (await stranger.request('/login', { method: 'POST', body: String(body) })).status,
        403,
        'a bad cookie',
      )
    })
  },
)

t.test(
  'a login form posted by another site signs no one in (RFC 6749 §10.12; docs/security.md C41)',
  async (t) => {
    const mallory = openBrowser(server)
    const page = await mallory.open(own())
    const body = String(
      new URLSearchParams([...page.form('/login').fields, ['username', 'bob'], ['password', PASSWORD]]),
    )
    const victim: Browser = openBrowser(server)
    for (const from of ['cross-site', 'same-origin', 'none'] as const) {
      userGetsError(
        t,
        await victim.request('/login', { method: 'POST', body, from }),
        `the attacker’s form, ${from}`,
      )
    }
    await victim.open(own())
    userGetsError(
      t,
      await victim.request('/login', { method: 'POST', body, from: 'cross-site' }),
      'after a visit',
    )
    const victimPage = await victim.open(own())
    const own2 = String(
      new URLSearchParams([...victimPage.form('/login').fields, ['username', 'bob'], ['password', PASSWORD]]),
    )
    for (const site of ['cross-site', 'same-site', 'none']) {
      const answer = await victim.request('/login', {
        method: 'POST',
        body: own2,
        headers: { 'sec-fetch-site': site },
      })
      userGetsError(t, answer, `even with the right token, from ${site}`)
    }
    t.notOk(victim.cookies().has(SESSION))
  },
)

t.test(
  'prompt=login and select_account ask once for a new login, which sets auth_time (OpenID Connect Core §3.1.2.1; docs/security.md M137)',
  async (t) => {
    const browser = openBrowser(server)
    await signIn(browser, { client_id: 'own' })
    for (const prompt of ['login', 'select_account', 'login consent']) {
      clock.tick(100)
      const page = await browser.open(own({ prompt }))
      t.equal(page.path, '/login', prompt)
      t.equal(page.form('/login').fields.get('username'), prompt === 'select_account' ? '' : 'alice')
      const done = await completePages(browser, page)
      const { id_token } = tokensOf(await redeem(server, done.away?.params.get('code') ?? '', { as: 'own' }))
      t.equal(claimsOf(id_token).auth_time, clock.now())
    }
    // Not with a flow value from before the login of this request.
    const page = await browser.open(own({ prompt: 'login' }))
    t.equal((await browser.open(page.url.replace('/login', AUTHORIZE))).path, '/login')
  },
)

t.test(
  'max_age asks for a new login after that time, and auth_time is returned (OpenID Connect Core §3.1.2.1; docs/security.md M137)',
  async (t) => {
    const browser = openBrowser(server)
    await signIn(browser, { client_id: 'own' })
    const signedIn = clock.now()
    clock.tick(60)
    const { code } = await signIn(browser, { client_id: 'own', max_age: '60' })
    t.equal(claimsOf(tokensOf(await redeem(server, code, { as: 'own' })).id_token).auth_time, signedIn)
    clock.tick(1)
    for (const max_age of ['60', '0']) {
      const page = await browser.open(own({ max_age }))
      t.equal(page.path, '/login', max_age)
      const done = await completePages(browser, page)
      const { id_token } = tokensOf(await redeem(server, done.away?.params.get('code') ?? '', { as: 'own' }))
      t.equal(claimsOf(id_token).auth_time, clock.now())
      clock.tick(61)
    }
  },
)

t.test(
  'with an id_token_hint or a sub claim only that user can complete the request (OpenID Connect Core §3.1.2.2; docs/security.md M138, M144)',
  async (t) => {
    const browser = openBrowser(server)
    const { code } = await signIn(browser, { client_id: 'own' })
    const { id_token } = tokensOf(await redeem(server, code, { as: 'own' }))
    const ofBob = { claims: JSON.stringify({ id_token: { sub: { value: bob.id } } }) }
    t.ok((await browser.open(own({ id_token_hint: id_token, prompt: 'none' }))).away?.params.has('code'))
    clientGetsError(t, await browser.open(own({ ...ofBob, prompt: 'none' })), {
      error: 'login_required',
      to: OWN_REDIRECT,
    })
    clientGetsError(t, await browser.open(own({ ...ofBob, id_token_hint: id_token })), {
      error: 'invalid_request',
      to: OWN_REDIRECT,
    })
    const page = await browser.open(own(ofBob))
    t.equal(page.path, '/login')
    const wrong = await browser.submit(page, fill('alice'))
    clientGetsError(t, wrong, { error: 'login_required', to: OWN_REDIRECT }, 'another user signs in')
    t.equal(await subOf(await browser.submit(await browser.open(own(ofBob)), fill('bob'))), bob.id)
    const asBob = await browser.open(own({ id_token_hint: id_token }))
    t.equal(asBob.path, '/login')
    t.equal(await subOf(await browser.submit(asBob, fill('alice'))), alice.id)
    // The token expired long ago, but names a session of this server.
    clock.tick(7200)
    t.ok((await browser.open(own({ id_token_hint: id_token }))).away?.params.has('code'))
    const forged = `${id_token.slice(0, -8)}AAAAAAAA`
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${id_token.split('.')[1]}.`
    for (const hint of [
      forged,
      unsigned,
      tokensOf(await redeem(server, (await signIn(browser, { client_id: 'own' })).code, { as: 'own' }))
        .access_token,
    ]) {
      clientGetsError(t, await browser.open(own({ id_token_hint: hint })), {
        error: 'invalid_request',
        to: OWN_REDIRECT,
      })
    }
    const foreign = await browser.open(authorizeUrl({ id_token_hint: id_token, client_id: 'web' }))
    clientGetsError(t, foreign, { error: 'invalid_request' }, 'issued to another client')
  },
)

t.test(
  'login_hint prefills the username as text and decides nothing (RFC 6749 §10.14, OpenID Connect Core §15.1; docs/security.md C48, M139)',
  async (t) => {
    const hint = '"><script>alert(1)</script>'
    const page = await openBrowser(server).open(own({ login_hint: hint }))
    t.equal(page.form('/login').fields.get('username'), hint)
    t.notMatch(page.body, '<script>alert')
    t.same(protectionProblems(page), [])
  },
)

/** The text as a user reads it, with one space between words. */
const sentences = (page: Page) =>
  visibleText(page)
    .replace(/\s+/g, ' ')
    .replace(/ ([,.])/g, '$1')

/** A browser in which alice is signed in. */
async function ofAlice(): Promise<Browser> {
  const browser = openBrowser(server)
  await signIn(browser, { client_id: 'own' })
  return browser
}

t.test(
  'a login_hint for a user other than the signed-in one leads to a page that asks which account to use (OpenID Connect Core §3.1.2.1)',
  async (t) => {
    await store.users.update(alice.id, (one) => ({ ...one, email: 'Alice@Example.test' }))
    const browser = await ofAlice()
    for (const hint of ['alice', 'ALICE ', 'alice@example.test', alice.id, '', ' ', '\u0001'])
      t.equal(await subOf(await browser.open(own({ login_hint: hint }))), alice.id, `${hint} is alice`)
    const page = await browser.open(own({ login_hint: 'bob' }))
    t.equal(page.path, '/login/account')
    t.same(protectionProblems(page), [])
    t.match(sentences(page), 'expects bob, but you are signed in as alice')
    const back = await browser.submit(page, { form: '/login/cancel' })
    clientGetsError(t, back, { error: 'access_denied', to: OWN_REDIRECT }, 'cancelled')
    t.equal(
      await subOf(await browser.submit(page, { form: '/login/account' })),
      alice.id,
      'continues as alice',
    )
    const other = await browser.open(page.links.find((link) => link.includes('account=other')) ?? '')
    t.equal(other.form('/login').fields.get('username'), 'bob')
    t.equal(await subOf(await browser.submit(other, fill('bob'))), bob.id, 'signs in as bob')
    t.equal(await subOf(await browser.open(own({ login_hint: 'bob' }))), bob.id, 'is not asked again')
    t.equal((await browser.open(own({ login_hint: 'alice' }))).path, '/login/account')
    const german = await browser.open(own({ login_hint: 'alice', ui_locales: 'de' }))
    t.match(sentences(german), /erwartet alice, Sie sind aber als bob angemeldet/)
  },
)

t.test(
  'the choice of an account counts for the user session that the page showed (OpenID Connect Core §3.1.2.1; docs/security.md C41)',
  async (t) => {
    const browser = await ofAlice()
    const page = await browser.open(own({ login_hint: 'carol' }))
    const login = await browser.open('/login?account=other')
    await browser.submit(login, fill('bob'))
    const again = await browser.submit(page, { form: '/login/account' })
    t.equal(again.path, '/login/account')
    t.match(sentences(again), 'you are signed in as bob')
    t.equal(await subOf(await browser.submit(again, { form: '/login/account' })), bob.id)
    const { fields } = page.form('/login/account')
    const stranger = openBrowser(server)
    await signIn(stranger, { client_id: 'own' })
    const stolen = await stranger.request('/login/account', {
      method: 'POST',
      from: 'same-origin',
      body: new URLSearchParams([...fields]).toString(),
    })
    t.equal(stolen.status, 403, 'in another browser')
  },
)

t.test(
  'login_hint does not show whether an account exists, and only what can be a name is on the page (RFC 6749 §10.14; docs/security.md C48)',
  async (t) => {
    const browser = await ofAlice()
    const shown = async (hint: string) => sentences(await browser.open(own({ login_hint: hint })))
    t.equal((await shown('bob')).replaceAll('bob', 'X'), (await shown('nobody')).replaceAll('nobody', 'X'))
    for (const hint of [
      'Your account is locked, call 555',
      '"><script>alert(1)</script> x',
      'x'.repeat(101),
    ]) {
      const page = await browser.open(own({ login_hint: hint }))
      t.match(sentences(page), 'expects another account. You are signed in as alice')
      t.notMatch(sentences(page), hint)
      t.notMatch(page.body, '<script>alert')
    }
  },
)

t.test(
  'with prompt=none, a login_hint for another user gets login_required, or consent_required like any request if there is no consent (OpenID Connect Core §3.1.2.6)',
  async (t) => {
    const browser = await ofAlice()
    const silently = (overrides: Overrides) => browser.open(authorizeUrl({ prompt: 'none', ...overrides }))
    const atOwn = { client_id: 'own', login_hint: 'bob' }
    clientGetsError(t, await silently(atOwn), { error: 'login_required', to: OWN_REDIRECT })
    t.equal(await subOf(await silently({ ...atOwn, login_hint: 'alice' })), alice.id)
    for (const login_hint of ['alice', 'bob', 'nobody'])
      clientGetsError(t, await silently({ client_id: 'web', login_hint }), { error: 'consent_required' })
  },
)

t.test(
  'a login page for a user other than the signed-in one has an empty or hinted username, which can be edited (OpenID Connect Core §3.1.2.1)',
  async (t) => {
    const browser = await ofAlice()
    for (const [overrides, username] of [
      [{ login_hint: 'bob', prompt: 'login' }, 'bob'],
      [{ login_hint: 'bob', max_age: '0' }, 'bob'],
      [{ claims: JSON.stringify({ id_token: { sub: { value: bob.id } } }) }, ''],
    ] as const) {
      const page = await browser.open(own(overrides))
      t.equal(page.path, '/login')
      t.equal(page.form('/login').fields.get('username') ?? '', username, JSON.stringify(overrides))
      t.notMatch(page.body, /readonly/)
    }
    const same = await browser.open(own({ login_hint: 'alice', prompt: 'login' }))
    t.match(same.body, /value="alice" autocomplete="username" readonly/)
  },
)

t.test(
  'a user session that was ended, or whose user is disabled, is not used (RFC 6749 §5.2, RFC 7662 §4; docs/security.md E62)',
  async (t) => {
    const browser = openBrowser(server)
    await signIn(browser, { client_id: 'own' })
    await store.users.setDisabled(alice.id, true)
    t.equal((await browser.open(own())).path, '/login')
    clientGetsError(t, await browser.open(own({ prompt: 'none' })), {
      error: 'login_required',
      to: OWN_REDIRECT,
    })
    await store.users.setDisabled(alice.id, false)
    await completePages(browser, await browser.open(own()))
    for (const { id } of await store.userSessions.list(alice.id, clock.now()))
      await store.userSessions.end(id, clock.now(), 'test')
    t.equal((await browser.open(own())).path, '/login')
  },
)

t.test(
  'the user can cancel a sign-in at each of its pages, and the client gets access_denied (RFC 6749 §4.1.2.1)',
  async (t) => {
    const cancelled = async (browser: Browser, page: Page) => {
      t.match(page.form('/login/cancel').buttons, [{ name: undefined }])
      const back = await browser.submit(page, { form: '/login/cancel' })
      clientGetsError(t, back, { error: 'access_denied', to: OWN_REDIRECT })
      t.notOk(browser.cookies().has(SESSION), 'nobody is signed in')
    }
    const browser = openBrowser(server)
    await cancelled(browser, await browser.open(own()))
    await cancelled(browser, await browser.submit(await browser.open(own()), fill('alice', 'wrong')))
    const posted = await browser.send(await browser.open(own({ response_mode: 'form_post' })), {
      form: '/login/cancel',
    })
    clientGetsError(t, await browser.send(posted), { error: 'access_denied', to: OWN_REDIRECT }, 'form_post')
    const german = await browser.open(own({ ui_locales: 'de' }))
    t.match(german.body, 'Abbrechen und zurück zu')

    const strong = await browser.open(own({ client_id: 'strong', redirect_uri: OWN_REDIRECT }))
    const enrol = await browser.submit(strong, fill())
    t.equal(enrol.path, '/account/second-factor')
    const back = await browser.submit(enrol, { form: '/login/cancel' })
    clientGetsError(t, back, { error: 'access_denied', to: OWN_REDIRECT })
    t.ok(browser.cookies().has(SESSION), 'the user is still signed in')
    const denials = () => server.logger.lines.filter(({ fields }) => fields.audit === 'consent.denied').length
    const before = denials()
    const again = await browser.open(own({ prompt: 'login' }))
    const denied = await browser.submit(again, { form: '/login/cancel' })
    clientGetsError(t, denied, { error: 'access_denied', to: OWN_REDIRECT })
    t.equal(denials(), before, 'the user who is signed in has decided nothing')
  },
)

t.test('another site, another browser or a login without a client cannot cancel anything', async (t) => {
  const browser = openBrowser(server)
  await store.clients.insert(codeClient({ id: 'moving' }))
  const page = await browser.open(authorizeUrl({ client_id: 'moving' }))
  const { fields } = page.form('/login/cancel')
  const body = String(new URLSearchParams([...fields]))
  const post = (by: Browser, how: { body: string; from?: 'same-origin' | 'cross-site' }) =>
    by.request('/login/cancel', { method: 'POST', from: 'same-origin', ...how })
  t.equal((await post(browser, { body, from: 'cross-site' })).status, 403)
  t.equal((await post(openBrowser(server), { body })).status, 403)
  const csrf = fields.get('csrf') ?? ''
  t.equal((await post(browser, { body: String(new URLSearchParams({ csrf })) })).status, 400)
  t.equal((await post(browser, { body: String(new URLSearchParams({ csrf, flow: 'x' })) })).status, 400)
  t.equal((await browser.request('/login/cancel')).status, 405)
  const account = await browser.open('/account')
  t.notOk(
    account.forms.some(({ action }) => action.endsWith('/cancel')),
    'no application waits',
  )

  await store.clients.update('moving', (one) => ({ ...one, redirectUris: ['https://moved.test/'] }))
  await server.poll()
  const refused = await browser.submit(page, { form: '/login/cancel' })
  t.same([refused.status, refused.away], [400, null], 'the redirect URI is checked again')
})

t.test('the login page without an authorization request leads only to the account page', async (t) => {
  const browser = openBrowser(server)
  const page = await browser.open(
    '/login?return_to=https://evil.test/&returnTo=//evil.test&redirect_uri=https://evil.test',
  )
  t.notMatch(page.body, 'evil.test')
  const sent = await browser.send(page, fill())
  t.same([sent.status, sent.location], [303, '/account'])
})

t.test('a client that requires a second factor gets no response after a password alone', async (t) => {
  const browser = openBrowser(server)
  await signIn(browser, { client_id: 'own' })
  const silent = await browser.open(own({ client_id: 'strong', prompt: 'none', redirect_uri: OWN_REDIRECT }))
  clientGetsError(t, silent, { error: 'interaction_required', to: OWN_REDIRECT })
  const page = await browser.request(own({ client_id: 'strong', redirect_uri: OWN_REDIRECT }))
  t.match(page.location, /^\/account\/second-factor\?flow=/)
})
