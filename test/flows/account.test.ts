/** The account page and its forms. */
import t, { type Test } from 'tap'
import { verifyPassword } from '../../src/accounts/password.ts'
import { LIMITS } from '../../src/accounts/rate-limiter.ts'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import { authorizeUrl, redeem, seedUsers, signIn, tokensOf } from '../support/browser/sign-in.ts'
import { refresh } from '../support/server/requests.ts'
import { PASSWORD } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'

const SESSION = '__Host-keyturn-session'
const NEW_PASSWORD = 'a few words in a row'

async function start(t: Test): Promise<TestServer> {
  const server = await testServer()
  t.teardown(() => server.close())
  await seedUsers(server.store)
  return server
}

/** Signed in and on the account page. */
async function at(server: TestServer, path = '/account', username = 'alice', password = PASSWORD) {
  const browser = openBrowser(server)
  const login = await browser.open(path)
  const page = await browser.submit(login, { form: '/login', fill: { username, password } })
  return { browser, page }
}

const formOf = (page: Page, action: string, field: string, value: string) =>
  page.forms.find((form) => form.action.endsWith(action) && form.fields.get(field) === value)

/** One of several forms with the same action. */
function press(browser: Browser, page: Page, action: string, field: string, value: string) {
  const form = formOf(page, action, field, value)
  if (!form) throw new Error(`no form ${action} with ${field}=${value}`)
  return browser.submit({ ...page, forms: [form], form: () => form })
}

const change = (browser: Browser, page: Page, fill: Record<string, string> = {}) =>
  browser.submit(page, {
    fill: {
      current_password: PASSWORD,
      new_password: NEW_PASSWORD,
      new_password_repeat: NEW_PASSWORD,
      ...fill,
    },
  })

const isSignedIn = async (browser: Browser) => (await browser.open('/account')).path === '/account'

t.test('a signed-out user signs in first and then reaches the requested account page', async (t) => {
  const server = await start(t)
  for (const path of ['/account', '/account/password']) {
    const { page } = await at(server, path)
    t.same([page.status, page.path], [200, path])
    t.match(page.headers, { 'cache-control': 'no-store', 'x-frame-options': 'DENY' }, 'and it is not cached')
  }
})

t.test('the account page shows the user, their browsers and the apps with access', async (t) => {
  const server = await start(t)
  const alice = await server.store.users.findByUsername('alice')
  await server.store.users.update(alice?.id ?? '', (one) => ({
    ...one,
    name: 'Alice <b>',
    email: 'a@x.test',
    emailVerified: false,
    updatedAt: server.clock.now(),
  }))
  const { browser } = await at(server)
  await signIn(browser, { client_id: 'web' }, { remember: true })
  const { code } = await signIn(browser, { client_id: 'web' })
  await redeem(server, code)
  const page = await browser.open('/account')
  for (const words of ['Alice &lt;b&gt;', 'a@x.test', 'not verified', 'The web application', 'This browser'])
    t.ok(page.body.includes(words), words)
  t.ok(formOf(page, '/account/consents/revoke', 'client_id', 'web'))
  t.ok(page.forms.some(({ action }) => action.endsWith('/account/sessions/end')))
  t.notOk(
    (await browser.open('/account?notice=%3Cscript%3E')).body.includes('&lt;script'),
    'only known notices are shown',
  )
  t.match((await browser.open('/account?notice=access-removed')).body, /no longer has access/)
})

t.test(
  'ending one browser session from another ends its client sessions and no others (Back-Channel Logout §2.7; docs/security.md N150)',
  async (t) => {
    const server = await start(t)
    const [one, other] = [await at(server), await at(server)]
    const tokens = tokensOf(await redeem(server, (await signIn(one.browser)).code))
    const otherTokens = tokensOf(await redeem(server, (await signIn(other.browser)).code))
    const page = await other.browser.open('/account')
    const ids = page.forms.flatMap(({ action, fields }) =>
      action.endsWith('/sign-ins/end') ? [fields.get('id')] : [],
    )
    const current = page.form('/account/sign-ins/end').fields.get('id')
    const foreign = ids.find((id) => id !== undefined && id !== current) ?? ''
    const after = await press(other.browser, page, '/account/sign-ins/end', 'id', foreign)
    t.match(after.body, /has been signed out/)
    t.notOk(await isSignedIn(one.browser))
    t.ok(await isSignedIn(other.browser))
    t.equal((await refresh(server, tokens.refresh_token, {}, 'web')).statusCode, 400)
    t.equal((await refresh(server, otherTokens.refresh_token, {}, 'web')).statusCode, 200)
    const again = await press(other.browser, page, '/account/sign-ins/end', 'id', foreign)
    t.match(again.body, /had already been removed/, 'a form submitted twice says so')
  },
)

t.test(
  'signing out deletes the cookie and ends its session (Back-Channel Logout §2.7; docs/security.md N150)',
  async (t) => {
    const server = await start(t)
    const { browser } = await at(server)
    const online = tokensOf(await redeem(server, (await signIn(browser)).code))
    const offline = tokensOf(
      await redeem(
        server,
        (await signIn(browser, { scope: 'openid offline_access', prompt: 'consent' })).code,
      ),
    )
    const stolen = browser.cookies().get(SESSION) ?? ''
    const page = await browser.open('/account')
    const id = page.form('/account/sign-ins/end').fields.get('id') ?? ''
    const end = await press(browser, page, '/account/sign-ins/end', 'id', id)
    t.same([end.path, end.status], ['/signed-out', 200])
    t.notOk(browser.cookies().has(SESSION))
    const thief = await browser.request('/account', { headers: { cookie: `${SESSION}=${stolen}` } })
    t.equal(thief.status, 303, 'a copied cookie is useless')
    t.equal((await refresh(server, online.refresh_token, {}, 'web')).statusCode, 400)
    t.equal(
      (await refresh(server, offline.refresh_token, {}, 'web')).statusCode,
      200,
      'offline_access continues',
    )
  },
)

t.test(
  'signing out everywhere ends every browser session and every client session, including offline ones',
  async (t) => {
    const server = await start(t)
    const [one, other] = [await at(server), await at(server)]
    const bob = await at(server, '/account', 'bob')
    const offline = tokensOf(
      await redeem(server, (await signIn(one.browser, { scope: 'openid offline_access' })).code),
    )
    const page = await other.browser.open('/account')
    const end = await press(other.browser, page, '/account/sign-ins/end', 'all', 'yes')
    t.equal(end.path, '/signed-out')
    t.notOk(other.browser.cookies().has(SESSION))
    for (const { browser } of [one, other]) t.notOk(await isSignedIn(browser))
    t.equal((await refresh(server, offline.refresh_token, {}, 'web')).statusCode, 400)
    t.ok(await isSignedIn(bob.browser), 'no one else is signed out')
  },
)

t.test('removing an app’s access keeps the user signed in', async (t) => {
  const server = await start(t)
  const { browser } = await at(server)
  const tokens = tokensOf(await redeem(server, (await signIn(browser)).code))
  const page = await browser.open('/account')
  const after = await browser.submit(page, { form: '/account/sessions/end' })
  t.match(after.body, /no longer has access/)
  t.notOk(after.forms.some(({ action }) => action.endsWith('/sessions/end')))
  t.equal((await refresh(server, tokens.refresh_token, {}, 'web')).statusCode, 400)
  t.match(server.logger.audits('client_session.revoked').at(-1), {
    reason: 'ended by the user',
    actor: /^user:u_/,
  })
})

t.test('revoking consent ends the app’s sessions, and the app must ask again', async (t) => {
  const server = await start(t)
  const { browser } = await at(server)
  const { code } = await signIn(browser, {}, { remember: true })
  const tokens = tokensOf(await redeem(server, code))
  const other = tokensOf(
    await redeem(server, (await signIn(browser, { client_id: 'own' })).code, { as: 'own' }),
  )
  const page = await browser.open('/account')
  const after = await press(browser, page, '/account/consents/revoke', 'client_id', 'web')
  t.match(after.body, /will ask for your permission again/)
  t.equal((await refresh(server, tokens.refresh_token, {}, 'web')).statusCode, 400)
  t.equal((await refresh(server, other.refresh_token, {}, 'own')).statusCode, 200, 'other apps continue')
  t.match(server.logger.audits('consent.withdrawn'), [{ client_id: 'web' }])
  t.equal((await browser.open(authorizeUrl())).path, '/consent')
})

t.test('another user’s record is reported as not found', async (t) => {
  const server = await start(t)
  const alice = await at(server)
  const tokens = tokensOf(await redeem(server, (await signIn(alice.browser, {}, { remember: true })).code))
  const page = await alice.browser.open('/account')
  const bob = await at(server, '/account', 'bob')
  const csrf = bob.page.form('/account/sign-ins/end').fields.get('csrf') ?? ''
  const targets = [
    ['/account/sign-ins/end', 'id', page.form('/account/sign-ins/end').fields.get('id')],
    ['/account/sessions/end', 'id', page.form('/account/sessions/end').fields.get('id')],
    ['/account/consents/revoke', 'client_id', 'web'],
  ] as const
  for (const [path, field, foreignId] of targets) {
    for (const value of [foreignId ?? '', 'nothing', '']) {
      const body = new URLSearchParams({ csrf, [field]: value }).toString()
      const answer = await bob.browser.request(path, { method: 'POST', body, from: 'same-origin' })
      t.same([answer.status, answer.location], [303, '/account?notice=already-removed'], `${path} ${value}`)
    }
  }
  t.ok(await isSignedIn(alice.browser))
  t.ok(await isSignedIn(bob.browser))
  t.equal((await refresh(server, tokens.refresh_token, {}, 'web')).statusCode, 200)
  t.ok(formOf(await alice.browser.open('/account'), '/account/consents/revoke', 'client_id', 'web'))
})

t.test(
  'a new password signs out all other browsers and replaces this browser’s session secret',
  async (t) => {
    const server = await start(t)
    const current = await at(server, '/account/password')
    const other = await at(server)
    const tokens = tokensOf(
      await redeem(server, (await signIn(other.browser, { scope: 'openid offline_access' })).code),
    )
    const secret = current.browser.cookies().get(SESSION) ?? ''
    const after = await change(current.browser, current.page)
    t.equal(after.path, '/account')
    t.match(after.body, /password has been changed/)
    t.ok(await isSignedIn(current.browser))
    t.not(current.browser.cookies().get(SESSION), secret)
    const copied = await current.browser.request('/account', { headers: { cookie: `${SESSION}=${secret}` } })
    t.equal(copied.status, 303, 'a copy of the old secret is useless')
    t.notOk(await isSignedIn(other.browser))
    t.equal((await refresh(server, tokens.refresh_token, {}, 'web')).statusCode, 400)
    t.equal((await at(server)).page.status, 400, 'the old password')
    t.equal((await at(server, '/account', 'alice', NEW_PASSWORD)).page.status, 200)
    t.match(server.logger.audits('user.changed').at(-1), { action: 'password set', actor: /^user:u_/ })
  },
)

t.test('a new password invalidates authorization codes that are not yet redeemed', async (t) => {
  const server = await start(t)
  const current = await at(server, '/account/password')
  const other = await at(server)
  const codes = [await signIn(current.browser), await signIn(other.browser)]
  t.equal((await change(current.browser, current.page)).path, '/account')
  for (const { code } of codes) t.equal((await redeem(server, code)).statusCode, 400)
  t.equal(
    (await redeem(server, (await signIn(current.browser)).code)).statusCode,
    200,
    'a session that begins now is valid',
  )
})

t.test(
  'a new password must be long enough, not too long, different and typed twice, and hard to guess (NIST SP 800-63B; docs/security.md R6)',
  async (t) => {
    const server = await start(t)
    const { browser, page } = await at(server, '/account/password')
    const before = (await server.store.users.findByUsername('alice'))?.passwordHash
    const both = (new_password: string) => ({ new_password, new_password_repeat: new_password })
    for (const [fill, words] of [
      [both('1234567'), /at least 8 characters/],
      [both('x'.repeat(1025)), /too long/],
      [both('12345678'), /one of the most common/],
      [both('PassWord'), /one of the most common/],
      [both('alice-123456'), /too similar to your name/],
      [{ new_password_repeat: 'something else' }, /new passwords do not match/],
      [both(PASSWORD), /must be different from the current one/],
      // The spaces of another keyboard make no other password (RFC 8265 §4.2.2).
      [both(PASSWORD.replaceAll(' ', '\u00a0')), /must be different from the current one/],
      [{ current_password: 'wrong' }, /current password is incorrect/],
      [{ current_password: '' }, /current password is incorrect/],
    ] as const) {
      const answer = await change(browser, page, fill)
      t.same([answer.status, answer.path], [400, '/account/password'])
      t.match(answer.body, words)
    }
    t.equal((await server.store.users.findByUsername('alice'))?.passwordHash, before)
    for (const good of ['h7kq2mzx', 'é'.repeat(1024)]) {
      const account = await at(
        server,
        '/account/password',
        'bob',
        good === 'h7kq2mzx' ? PASSWORD : 'h7kq2mzx',
      )
      const current_password = good === 'h7kq2mzx' ? PASSWORD : 'h7kq2mzx'
      const done = await change(account.browser, account.page, { current_password, ...both(good) })
      t.equal(done.path, '/account', `${good.length} characters`)
    }
  },
)

t.test('guesses at the current password count together with those at the login page', async (t) => {
  const server = await start(t)
  const { browser, page } = await at(server, '/account/password')
  const statuses: number[] = []
  for (let n = 0; n <= LIMITS.pair.burst; n += 1) {
    statuses.push((await change(browser, page, { current_password: `guess ${n}` })).status)
  }
  t.same(statuses, [...Array(LIMITS.pair.burst).fill(400), 429])
  const right = await change(browser, page)
  t.equal(right.status, 429, 'the right password is rate limited too')
  t.ok(Number(right.headers['retry-after']) > 0)
  t.equal((await at(server)).page.status, 429, 'and so is the login')
  const alice = await server.store.users.findByUsername('alice')
  t.same(await verifyPassword(alice?.passwordHash, PASSWORD), { ok: true, outdated: false })
})

t.test('of two concurrent password changes one succeeds', async (t) => {
  const server = await start(t)
  const { browser, page } = await at(server, '/account/password')
  const other = { new_password: 'another new one', new_password_repeat: 'another new one' }
  const answers = await Promise.all([
    browser.send(page, { fill: fields() }),
    browser.send(page, { fill: fields(other) }),
  ])
  t.same(answers.map(({ status }) => status).sort(), [303, 400])
  const winner = answers[0]?.status === 303 ? NEW_PASSWORD : other.new_password
  const alice = await server.store.users.findByUsername('alice')
  t.match(await verifyPassword(alice?.passwordHash, winner), { ok: true })
})

const fields = (more: Record<string, string> = {}) => ({
  current_password: PASSWORD,
  new_password: NEW_PASSWORD,
  new_password_repeat: NEW_PASSWORD,
  ...more,
})

t.test(
  'every account form requires its own CSRF token (RFC 6749 §10.12; docs/security.md C41, P29)',
  async (t) => {
    const server = await start(t)
    const { browser } = await at(server)
    const tokens = tokensOf(await redeem(server, (await signIn(browser, {}, { remember: true })).code))
    const bob = await at(server, '/account', 'bob')
    const page = await browser.open('/account')
    const tokenOf = (one: Page) => one.forms[0]?.fields.get('csrf') ?? ''
    const anonymous = await openBrowser(server).open('/account')
    const good = tokenOf(page)
    const forms: Record<string, Record<string, string>> = {
      '/account/sign-ins/end': { all: 'yes' },
      '/account/sessions/end': { id: page.form('/account/sessions/end').fields.get('id') ?? '' },
      '/account/consents/revoke': { client_id: 'web' },
      '/account/password': fields(),
    }
    const tokensTried = {
      none: undefined,
      empty: '',
      "bob's": tokenOf(bob.page),
      'a login page’s': tokenOf(anonymous),
    }
    for (const [path, form] of Object.entries(forms)) {
      for (const [whose, csrf] of Object.entries(tokensTried)) {
        const body = new URLSearchParams({ ...form, ...(csrf === undefined ? {} : { csrf }) }).toString()
        const answer = await browser.request(path, { method: 'POST', body, from: 'same-origin' })
        t.equal(answer.status, 403, `${path} with ${whose} token`)
        t.match(answer.body, /form could not be verified/)
      }
      const body = new URLSearchParams({ ...form, csrf: good }).toString()
      for (const from of ['cross-site', 'same-site'] as const) {
        const headers = { cookie: cookieOf(browser), 'sec-fetch-site': from }
        const answer = await browser.request(path, { method: 'POST', body, headers })
        t.equal(answer.status, 403, `${path} from a page that is ${from}, even with the token`)
      }
    }
    t.ok(await isSignedIn(browser), 'and nothing has changed')
    t.equal((await refresh(server, tokens.refresh_token, {}, 'web')).statusCode, 200)
    t.ok(formOf(await browser.open('/account'), '/account/consents/revoke', 'client_id', 'web'))
    t.equal((await at(server)).page.status, 200, 'the password is unchanged')
  },
)

const cookieOf = (browser: Browser) =>
  [...browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')

t.test(
  'a CSRF token from before the sign-in is invalid after it, and differs between browsers (RFC 6749 §10.12; docs/security.md C41)',
  async (t) => {
    const server = await start(t)
    const browser = openBrowser(server)
    const login = await browser.open('/account')
    const early = login.form('/login').fields.get('csrf') ?? ''
    const page = await browser.submit(login, {
      form: '/login',
      fill: { username: 'alice', password: PASSWORD },
    })
    const late = page.forms[0]?.fields.get('csrf')
    t.not(late, early)
    t.not((await at(server)).page.forms[0]?.fields.get('csrf'), late)
  },
)
