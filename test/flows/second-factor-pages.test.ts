/** Second factors through the forms of their pages: setting up, verifying, removing, and what tokens say about them. */
import { TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { CODE_LIMITS } from '../../src/accounts/rate-limiter.ts'
import { createAuthenticator } from '../support/browser/authenticator.ts'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import { clientGetsError } from '../support/browser/page-assertions.ts'
import { byPasskey } from '../support/browser/passkey-forms.ts'
import {
  authorizeUrl,
  codeClient,
  completePages,
  redeem,
  seedUsers,
  tokensOf,
} from '../support/browser/sign-in.ts'
import { claimsOf, encodeForm } from '../support/server/requests.ts'
import { PASSWORD, user } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'

const SESSION = '__Host-keyturn-session'
const BANK = 'https://bank.test/callback'

/** `bank` requires a second factor, and so does carol’s role. */
async function start(t: Test): Promise<TestServer> {
  const server = await testServer()
  t.teardown(() => server.close())
  await seedUsers(server.store)
  await server.store.clients.insert(
    codeClient({ id: 'bank', requireSecondFactor: true, redirectUris: [BANK] }),
  )
  await server.store.roles.insert({
    name: 'treasurer',
    scopes: ['orders:read'],
    requireSecondFactor: true,
    createdAt: 1,
  })
  await server.store.users.insert(await user({ username: 'carol', roles: ['treasurer'] }))
  await server.deps.registry.sync()
  return server
}

const device = () => createAuthenticator({ origin: ISSUER, rpId: new URL(ISSUER).hostname })

const codeAt = (secret: string, { clock }: TestServer) =>
  new TOTP({ secret, algorithm: 'SHA1', digits: 6, period: 30 }).generate({ timestamp: clock.now() * 1000 })

/** A different code from the one before: each works once. */
function nextCode(secret: string, server: TestServer): string {
  server.clock.tick(30)
  return codeAt(secret, server)
}

async function at(server: TestServer, path = '/account', username = 'alice') {
  const browser = openBrowser(server)
  const login = await browser.open(path)
  const page = await browser.submit(login, { form: '/login', fill: { username, password: PASSWORD } })
  return { browser, page }
}

const secretOf = ({ body }: Page) =>
  (/class="secret[^"]*">([^<]+)</.exec(body)?.[1] ?? '').replaceAll(' ', '')
const codesOf = ({ body }: Page) =>
  [...body.matchAll(/<li>([0-9A-Z-]{14})<\/li>/g)].map(([, code = '']) => code)

interface Enrolled {
  readonly browser: Browser
  readonly secret: string
  readonly codes: readonly string[]
}

/** With an authenticator, and the recovery codes that come with the first factor. */
async function withApp(server: TestServer, username = 'alice'): Promise<Enrolled> {
  const { browser, page } = await at(server, '/account/totp', username)
  const secret = secretOf(page)
  const done = await browser.submit(page, { form: '/account/totp', fill: { code: nextCode(secret, server) } })
  return { browser, secret, codes: codesOf(done) }
}

async function idToken(server: TestServer, browser: Browser, client_id = 'web') {
  const page = await completePages(
    browser,
    await browser.open(authorizeUrl({ client_id, redirect_uri: redirectOf(client_id) })),
  )
  return idTokenFor(server, page, client_id)
}

const redirectOf = (clientId: string) => (clientId === 'bank' ? BANK : 'https://app.test/callback')

async function idTokenFor(server: TestServer, page: Page, client_id: string) {
  const code = page.away?.params.get('code')
  if (!code) throw new Error(`no code but ${page.status} ${page.path} ${page.away?.url}`)
  const form = { redirect_uri: redirectOf(client_id) }
  const { amr, acr, auth_time } = claimsOf(
    tokensOf(await redeem(server, code, { as: client_id, form })).id_token,
  )
  return { amr, acr, auth_time }
}

const factorsOf = async (server: TestServer, username = 'alice') =>
  server.store.factors.summary((await server.store.users.findByUsername(username))?.id ?? '')

const MFA = 'urn:keyturn:acr:mfa'

t.test(
  'setting up the first factor creates recovery codes and counts as verified in this browser',
  async (t) => {
    const server = await start(t)
    const { browser, page } = await at(server, '/account/totp')
    t.same(await idToken(server, browser), {
      amr: ['pwd'],
      acr: 'urn:keyturn:acr:password',
      auth_time: server.clock.now(),
    })
    const before = browser.cookies().get(SESSION)
    const secret = secretOf(page)
    t.match(page.body, /<img class="qr" src="data:image\/svg\+xml;base64,/)
    const done = await browser.submit(page, {
      form: '/account/totp',
      fill: { code: nextCode(secret, server) },
    })
    t.equal(codesOf(done).length, 10)
    t.not(browser.cookies().get(SESSION), before, 'with another secret in the cookie')
    t.same(done.links, ['/account'])
    t.same(await idToken(server, browser), {
      amr: ['mfa', 'otp', 'pwd'],
      acr: MFA,
      auth_time: server.clock.now(),
    })
    const account = await browser.open('/account')
    t.match(account.body, /10 codes left/)
    t.match(account.body, /On since/)
    t.equal((await browser.open('/account/totp')).path, '/account', 'only one authenticator app is possible')
  },
)

t.test(
  'a wrong confirmation code keeps the secret, a late one replaces it, and the right one is consumed',
  async (t) => {
    const server = await start(t)
    const { browser, page } = await at(server, '/account/totp')
    const secret = secretOf(page)
    const wrong = await browser.submit(page, { form: '/account/totp', fill: { code: '000000' } })
    t.same([wrong.status, secretOf(wrong)], [400, secret])
    t.match(wrong.body, /code is incorrect/)
    server.clock.tick(901)
    await browser.submit(await browser.open('/account/totp'), {
      form: '/login',
      fill: { password: PASSWORD },
    })
    const late = await browser.submit(wrong, {
      form: '/account/totp',
      fill: { code: codeAt(secret, server) },
    })
    t.equal(late.status, 400)
    t.match(late.body, /open for too long/)
    t.not(secretOf(late), secret)
    const code = codeAt(secretOf(late), server)
    const done = await browser.submit(late, { form: '/account/totp', fill: { code } })
    t.equal(codesOf(done).length, 10)
    const replayed = await browser.submit(late, { form: '/account/totp', fill: { code } })
    t.equal(replayed.status, 400, 'the form again')
    const login = await at(server)
    const again = await login.browser.submit(login.page, { form: '/login/second-factor', fill: { code } })
    t.equal(again.status, 400, 'the code again, at a login')
  },
)

t.test('a login asks for the second factor and creates no session before it', async (t) => {
  const server = await start(t)
  const { secret } = await withApp(server)
  const { browser, page } = await at(server)
  t.equal(page.path, '/login/second-factor')
  t.notOk(browser.cookies().has(SESSION))
  t.equal((await browser.open('/account')).path, '/login')
  t.notOk(
    page.forms.some(({ action }) => action.endsWith('/cancel')),
    'no application waits',
  )
  const atClient = openBrowser(server)
  const confirm = await atClient.submit(await atClient.open(authorizeUrl()), {
    form: '/login',
    fill: { username: 'alice', password: PASSWORD },
  })
  t.equal(confirm.path, '/login/second-factor')
  clientGetsError(t, await atClient.submit(confirm, { form: '/login/cancel' }), { error: 'access_denied' })
  t.notOk(atClient.cookies().has(SESSION), 'a cancelled login signs nobody in')
  const in_ = await browser.submit(page, {
    form: '/login/second-factor',
    fill: { code: nextCode(secret, server) },
  })
  t.same([in_.status, in_.path], [200, '/account'])
  t.same(await idToken(server, browser), {
    amr: ['mfa', 'otp', 'pwd'],
    acr: MFA,
    auth_time: server.clock.now(),
  })
})

t.test(
  'a sign-in that no application waits for cannot be cancelled, and leads to the account page',
  async (t) => {
    const server = await start(t)
    await withApp(server)
    const { browser, page } = await at(server)
    t.notOk(page.forms.some(({ action }) => action.endsWith('/cancel')))
    const fields = page.forms.find((form) => form.fields.has('flow'))?.fields ?? new Map<string, string>()
    const body = String(new URLSearchParams([...fields]))
    const sent = await browser.request('/login/cancel', { method: 'POST', from: 'same-origin', body })
    t.same([sent.status, sent.location], [303, '/account'])
  },
)

t.test('a recovery code works once, and a new set invalidates the old one', async (t) => {
  const server = await start(t)
  const { codes } = await withApp(server)
  const recover = async (recovery_code: string) => {
    const { browser, page } = await at(server)
    const form = page.forms.find(({ fields }) => fields.has('recovery_code'))
    if (!form) throw new Error('no form for recovery codes')
    const sent = await browser.submit(
      { ...page, forms: [form], form: () => form },
      { fill: { recovery_code } },
    )
    return { browser, page: sent }
  }
  const [first = '', second = ''] = codes
  const { browser, page } = await recover(first.toLowerCase().replaceAll('-', ' '))
  t.equal(page.path, '/account')
  t.match(page.body, /9 codes left/)
  t.same(await idToken(server, browser), {
    amr: ['mfa', 'otp', 'pwd'],
    acr: MFA,
    auth_time: server.clock.now(),
  })
  const used = (await recover(first)).page
  t.equal(used.status, 400, 'it is consumed')
  const [before = '', after = '', ...more] = used.body.split('That recovery code is incorrect')
  t.same(more, [], 'one error')
  t.match(
    [before, after],
    [/<details class="instead" open>(?!.*<\/details>)/s, '</details>'],
    'in its own step',
  )
  const fresh = await browser.submit(await browser.open('/account'), { form: '/account/recovery-codes' })
  t.equal(codesOf(fresh).length, 10)
  t.match(fresh.body, /Your previous codes no longer work/)
  t.equal((await recover(second)).page.status, 400, 'a code of the old set')
  t.equal((await recover(codesOf(fresh)[0] ?? '')).page.path, '/account', 'a code of the new set')
})

t.test('a passkey can be set up and used as a second or only factor, with acr phr', async (t) => {
  const server = await start(t)
  const authenticator = device()
  const { browser, page } = await at(server, '/account/passkeys')
  for (const name of ['', ' ', 'x'.repeat(65)]) {
    const unnamed = await byPasskey(browser, page, '/account/passkeys', authenticator, { name })
    t.equal(unnamed.status, 400)
    t.match(unnamed.body, /a name of up to 64/)
  }
  t.match(page.headers['content-security-policy'], /script-src 'self'/)
  const forged = await byPasskey(browser, page, '/account/passkeys', device(), {
    name: 'x',
    challenge: 'other',
  })
  t.equal(forged.status, 400)
  const done = await byPasskey(browser, page, '/account/passkeys', authenticator, { name: 'Laptop <i>' })
  t.equal(codesOf(done).length, 10)
  t.same(await idToken(server, browser), {
    amr: ['hwk', 'mfa', 'pwd'],
    acr: 'phr',
    auth_time: server.clock.now(),
  })
  t.match((await browser.open('/account')).body, /Laptop &lt;i&gt;/)

  const second = await at(server)
  t.equal(second.page.path, '/login/second-factor')
  const account = await byPasskey(second.browser, second.page, '/login/second-factor', authenticator)
  t.equal(account.path, '/account')
  t.same(await idToken(server, second.browser), {
    amr: ['hwk', 'mfa', 'pwd', 'user'],
    acr: 'phr',
    auth_time: server.clock.now(),
  })

  const alone = openBrowser(server)
  const login = await alone.open('/login')
  t.equal((await byPasskey(alone, login, '/login/passkey', authenticator)).path, '/account')
  t.same(await idToken(server, alone), {
    amr: ['hwk', 'mfa', 'user'],
    acr: 'phr',
    auth_time: server.clock.now(),
  })
})

t.test('a client that requires a second factor makes the user enrol first and then continues', async (t) => {
  const server = await start(t)
  const ways = {
    app: async (browser: Browser, page: Page) => {
      const setup = await browser.open(page.links.find((link) => link.startsWith('/account/totp')) ?? '')
      const code = nextCode(secretOf(setup), server)
      const wrong = await browser.submit(setup, { form: '/account/totp', fill: { code: '000000' } })
      return browser.submit(wrong, { form: '/account/totp', fill: { code } })
    },
    passkey: async (browser: Browser, page: Page) => {
      const setup = await browser.open(page.links.find((link) => link.startsWith('/account/passkeys')) ?? '')
      return byPasskey(browser, setup, '/account/passkeys', device(), { name: 'Key' })
    },
  }
  for (const [what, enrol] of Object.entries(ways)) {
    const username = what === 'app' ? 'alice' : 'bob'
    const scope = 'openid'
    const request = authorizeUrl({ client_id: 'bank', redirect_uri: BANK, scope })
    const browser = openBrowser(server)
    const page = await completePages(browser, await browser.open(request), { username })
    t.equal(page.path, '/account/second-factor', what)
    t.match(page.body, /The bank application/, 'the page names the client that requires it')
    const codes = await enrol(browser, page)
    t.equal(codesOf(codes).length, 10, what)
    const [onward = ''] = codes.links
    t.ok(onward.startsWith('/oauth2/authorize?flow='), 'and the request continues there')
    const answered = await completePages(browser, await browser.open(onward), { username })
    const [amr, acr] = what === 'app' ? [['mfa', 'otp', 'pwd'], MFA] : [['hwk', 'mfa', 'pwd'], 'phr']
    t.same(await idTokenFor(server, answered, 'bank'), { amr, acr, auth_time: server.clock.now() })
    const silent = await browser.open(`${request}&prompt=none`)
    t.notOk(silent.away?.params.get('error')?.includes('login'), 'it is not asked for again')
  }
})

t.test('a role that requires a second factor has the same effect, and prompt=none fails', async (t) => {
  const server = await start(t)
  const browser = openBrowser(server)
  const page = await completePages(browser, await browser.open(authorizeUrl({ prompt: 'login' })), {
    username: 'carol',
  })
  t.equal(page.path, '/account/second-factor')
  t.match(page.body, /Your organisation requires/)
  const silent = await browser.open(authorizeUrl({ prompt: 'none' }))
  t.equal(silent.away?.params.get('error'), 'interaction_required')
  const setup = await browser.open(page.links.find((link) => link.startsWith('/account/totp')) ?? '')
  const code = nextCode(secretOf(setup), server)
  const codes = await browser.submit(setup, { form: '/account/totp', fill: { code } })
  const answered = await completePages(browser, await browser.open(codes.links[0] ?? ''))
  t.same(await idTokenFor(server, answered, 'web'), {
    amr: ['mfa', 'otp', 'pwd'],
    acr: MFA,
    auth_time: server.clock.now(),
  })
})

t.test('the enrolment page without a pending request redirects to the account page', async (t) => {
  const server = await start(t)
  const { page } = await at(server, '/account/second-factor')
  t.same([page.status, page.path], [200, '/account'])
})

t.test('an enrolment left open for too long asks for the password again and continues', async (t) => {
  const server = await start(t)
  const browser = openBrowser(server)
  const request = authorizeUrl({ client_id: 'bank', redirect_uri: BANK })
  const page = await completePages(browser, await browser.open(request))
  t.equal(page.path, '/account/second-factor')
  const link = page.links.find((one) => one.startsWith('/account/totp')) ?? ''
  const open = await browser.open(link)
  server.clock.tick(601)
  const late = await browser.submit(open, {
    form: '/account/totp',
    fill: { code: codeAt(secretOf(open), server) },
  })
  t.equal(late.path, '/login')
  t.same(await factorsOf(server), { totp: false, passkeys: 0, recoveryCodes: 0 })
  t.equal((await browser.open(link)).path, '/login')
  const again = await browser.submit(late, { form: '/login', fill: { password: PASSWORD } })
  t.equal(again.path, '/account/second-factor', 'at the page they asked for')
  server.clock.tick(3600)
  t.equal((await browser.open(link)).status, 400, 'an hour later the request has expired')
})

/** Every request that changes factors. */
const CHANGES: readonly (readonly [string, Record<string, string>])[] = [
  ['/account/totp', { code: '123456', enrolment: 'x' }],
  ['/account/totp/remove', {}],
  ['/account/passkeys', { name: 'x', credential: '{}', challenge: 'x' }],
  ['/account/passkeys/remove', { id: 'x' }],
  ['/account/recovery-codes', {}],
]

const csrfOf = async (browser: Browser) =>
  (await browser.open('/account')).form('/account/sign-ins/end').fields.get('csrf') ?? ''

t.test('changing factors requires a login within the last ten minutes', async (t) => {
  const server = await start(t)
  const { browser, secret } = await withApp(server)
  const had = await factorsOf(server)
  const csrf = await csrfOf(browser)
  server.clock.tick(600)
  t.equal((await browser.open('/account/passkeys')).path, '/account/passkeys', 'ten minutes are accepted')
  server.clock.tick(1)
  for (const path of ['/account/totp', '/account/passkeys']) {
    t.equal((await browser.open(path)).path, '/login', path)
  }
  for (const [path, form] of CHANGES) {
    const body = encodeForm({ csrf, ...form })
    const answer = await browser.request(path, { method: 'POST', body, from: 'same-origin' })
    t.same([answer.status, answer.location?.split('?')[0]], [303, '/login'], path)
  }
  t.same(await factorsOf(server), had)
  const login = await browser.open('/account/passkeys')
  const second = await browser.submit(login, { form: '/login', fill: { password: PASSWORD } })
  t.equal(second.path, '/login/second-factor', 'with the second factor, since there is one')
  const back = await browser.submit(second, {
    form: '/login/second-factor',
    fill: { code: nextCode(secret, server) },
  })
  t.equal(back.path, '/account/passkeys', 'and back to the page they asked for')
})

t.test('a user with a second factor must have used it to change factors', async (t) => {
  const server = await start(t)
  const early = await at(server)
  const { secret } = await withApp(server)
  const had = await factorsOf(server)
  const csrf = await csrfOf(early.browser)
  for (const [path, form] of CHANGES) {
    const body = encodeForm({ csrf, ...form })
    const answer = await early.browser.request(path, { method: 'POST', body, from: 'same-origin' })
    t.same([answer.status, answer.location?.split('?')[0]], [303, '/login'], path)
  }
  t.same(await factorsOf(server), had)
  const login = await early.browser.open('/account/passkeys')
  const second = await early.browser.submit(login, { form: '/login', fill: { password: PASSWORD } })
  const page = await early.browser.submit(second, {
    form: '/login/second-factor',
    fill: { code: nextCode(secret, server) },
  })
  t.equal(page.path, '/account/passkeys')
})

t.test('factors can be removed one by one, and the last takes the recovery codes with it', async (t) => {
  const server = await start(t)
  const { browser } = await withApp(server)
  const setup = await browser.open('/account/passkeys')
  const added = await byPasskey(browser, setup, '/account/passkeys', device(), { name: 'Key' })
  t.match(added.body, /passkey has been added/, 'no new recovery codes')
  t.same(await factorsOf(server), { totp: true, passkeys: 1, recoveryCodes: 10 })
  const one = await browser.submit(added, { form: '/account/totp/remove' })
  t.match(one.body, /no longer need your authenticator app/)
  t.match((await browser.submit(added, { form: '/account/totp/remove' })).body, /had already been removed/)
  const none = await browser.submit(one, { form: '/account/passkeys/remove' })
  t.match(none.body, /passkey has been removed/)
  t.same(await factorsOf(server), { totp: false, passkeys: 0, recoveryCodes: 0 })
  t.equal((await at(server)).page.path, '/account', 'the password is sufficient again')
  const csrf = await csrfOf(browser)
  const body = encodeForm({ csrf })
  const answer = await browser.open('/account/recovery-codes', { method: 'POST', body, from: 'same-origin' })
  t.equal(answer.path, '/account', 'recovery codes without a factor are not created')
  t.equal((await factorsOf(server)).recoveryCodes, 0)
})

t.test('a user whose role requires a second factor cannot remove the last one', async (t) => {
  const server = await start(t)
  const { browser } = await withApp(server, 'carol')
  const page = await browser.open('/account')
  t.match(page.body, /Your account requires two-step verification/)
  const refused = await browser.submit(page, { form: '/account/totp/remove' })
  t.match(refused.body, /Set up another method before you remove this one/)
  t.equal((await factorsOf(server, 'carol')).totp, true)
  const setup = await browser.open('/account/passkeys')
  const both = await byPasskey(browser, setup, '/account/passkeys', device(), { name: 'Key' })
  const one = await browser.submit(both, { form: '/account/totp/remove' })
  t.match(one.body, /no longer need your authenticator app/, 'one of two may be removed')
  const last = await browser.submit(one, { form: '/account/passkeys/remove' })
  t.match(last.body, /Set up another method before you remove this one/)
  t.same(await factorsOf(server, 'carol'), { totp: false, passkeys: 1, recoveryCodes: 10 })
})

t.test('another user’s factor can be neither removed nor used', async (t) => {
  const server = await start(t)
  const alice = await at(server, '/account/passkeys')
  const authenticator = device()
  await byPasskey(alice.browser, alice.page, '/account/passkeys', authenticator, { name: 'Key' })
  const { browser } = await at(server, '/account', 'bob')
  const csrf = await csrfOf(browser)
  const body = encodeForm({ csrf, id: authenticator.id })
  const answer = await browser.open('/account/passkeys/remove', { method: 'POST', body, from: 'same-origin' })
  t.match(answer.body, /had already been removed/)
  t.equal((await factorsOf(server)).passkeys, 1)
  const setup = await browser.open('/account/passkeys')
  const taken = await byPasskey(browser, setup, '/account/passkeys', authenticator, { name: 'Mine now' })
  t.equal(taken.status, 400, 'nor can her passkey be registered as his')
  const other = await at(server, '/account/totp', 'carol')
  const enrolment = other.page.form('/account/totp').fields.get('enrolment') ?? ''
  const code = codeAt(secretOf(other.page), server)
  const own = await browser.open('/account/totp')
  const swapped = await browser.submit(own, { form: '/account/totp', fill: { enrolment, code } })
  t.equal(swapped.status, 400, 'or a setup begun by another user')
  t.equal((await factorsOf(server, 'bob')).totp, false)
})

t.test('concurrent guesses at codes are each counted (RFC 6749 §10.10; docs/security.md P5)', async (t) => {
  const server = await start(t)
  const { secret } = await withApp(server)
  const { browser, page } = await at(server)
  const guess = (code: string) => browser.send(page, { form: '/login/second-factor', fill: { code } })
  const wrong = ['000001', '000002', '000003'].filter((code) => code !== codeAt(secret, server))
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, n) => guess(wrong[n % wrong.length] ?? '')),
  )
  const statuses = answers.map(({ status }) => status)
  t.equal(statuses.filter((status) => status === 400).length, CODE_LIMITS.pair.burst)
  t.equal(statuses.filter((status) => status === 429).length, 30 - CODE_LIMITS.pair.burst)
  const right = await guess(nextCode(secret, server))
  t.equal(right.status, 429, 'the right code is rate limited too')
  t.ok(Number(right.headers['retry-after']) > 0)
  t.notOk(browser.cookies().has(SESSION))
})

t.test(
  'every factor form requires its own CSRF token (RFC 6749 §10.12; docs/security.md C41, P29)',
  async (t) => {
    const server = await start(t)
    const { browser } = await withApp(server)
    const bob = await at(server, '/account', 'bob')
    const had = await factorsOf(server)
    const good = await csrfOf(browser)
    const cookie = [...browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')
    for (const [path, form] of CHANGES) {
      for (const csrf of [undefined, '', await csrfOf(bob.browser)]) {
        const body = encodeForm({ ...form, ...(csrf === undefined ? {} : { csrf }) })
        const answer = await browser.request(path, { method: 'POST', body, from: 'same-origin' })
        t.equal(answer.status, 403, `${path} ${csrf}`)
      }
      const headers = { cookie, 'sec-fetch-site': 'cross-site' }
      const answer = await browser.request(path, {
        method: 'POST',
        body: encodeForm({ ...form, csrf: good }),
        headers,
      })
      t.equal(answer.status, 403, `${path} from another site’s page, even with the token`)
    }
    t.same(await factorsOf(server), had)
  },
)

t.test(
  'an issuer with an IP address offers no passkeys, because browsers do not support them there',
  async (t) => {
    const server = await testServer({ settings: { ISSUER: 'https://192.0.2.7' } })
    t.teardown(() => server.close())
    await seedUsers(server.store)
    const { page } = await at(server, '/account/passkeys')
    t.equal(page.path, '/account')
    t.match(page.body, /You cannot add a passkey here/)
  },
)
