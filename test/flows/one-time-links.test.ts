/** Links with which users set a password or register a passkey: once, for one hour, for one purpose. */
import { TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { createOneTimeLink } from '../../src/accounts/one-time-links.ts'
import type { LinkPurpose } from '../../src/store/contracts/one-time-links.ts'
import type { User } from '../../src/store/contracts/users.ts'
import { createAuthenticator } from '../support/browser/authenticator.ts'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import { byPasskey } from '../support/browser/passkey-forms.ts'
import { authorizeUrl, redeem, seedUsers, signIn, tokensOf } from '../support/browser/sign-in.ts'
import { encodeForm, login, refresh } from '../support/server/requests.ts'
import { PASSWORD, user } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'

const NEW_PASSWORD = 'a few words in a row'
const fill = { new_password: NEW_PASSWORD, new_password_repeat: NEW_PASSWORD }
const PAGES = { invite: '/account/invitation', reset: '/account/reset' } as const

/** Alice has a password, and ivy was invited. */
async function start(t: Test): Promise<{ server: TestServer; alice: User; ivy: User }> {
  const server = await testServer()
  t.teardown(() => server.close())
  const { alice } = await seedUsers(server.store)
  const ivy = await user({ username: 'ivy', passwordHash: null })
  await server.store.users.insert(ivy)
  return { server, alice, ivy }
}

/** The address of a new link. */
async function linkFor({ deps }: TestServer, owner: User, purpose: LinkPurpose = 'reset'): Promise<string> {
  const { link } = await createOneTimeLink(deps.base, owner, purpose, 'operator:root')
  return link
}

const secretOf = (link: string) => new URL(link).searchParams.get('secret') ?? ''

/** Browsers that have opened the link before any of them submits a form. */
const openAll = (server: TestServer, link: string, count: number) =>
  Promise.all(
    Array.from({ length: count }, async () => {
      const browser = openBrowser(server)
      return { browser, page: await browser.open(link) }
    }),
  )

const isVoid = (page: Page) => page.status === 400 && page.body.includes('This link cannot be used')

/** Whether the password is accepted; on a server without a limit that earlier guesses have reached. */
const signsIn = async (server: TestServer, username: string, password: string) =>
  (await login(server, { username, password })).statusCode === 200

const device = () => createAuthenticator({ origin: ISSUER, rpId: new URL(ISSUER).hostname })

t.test('an invited user sets a password and signs in with it; the link is then void', async (t) => {
  const { server, ivy } = await start(t)
  const link = await linkFor(server, ivy, 'invite')
  t.match(link, new RegExp(`^${ISSUER}/account/invitation\\?secret=[\\w-]{43}$`))
  t.notOk(await signsIn(server, 'ivy', PASSWORD), 'an account without a password refuses every password')
  const browser = openBrowser(server)
  const page = await browser.open(link)
  t.equal(page.status, 200)
  t.match(page.headers, { 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' })
  const done = await browser.submit(page, { form: '/account/invitation', fill })
  t.equal(done.status, 200)
  t.match(done.body, /Your password is set/)
  t.ok(await signsIn(server, 'ivy', NEW_PASSWORD))
  t.ok(isVoid(await browser.open(link)))
  t.ok(isVoid(await browser.submit(page, { form: '/account/invitation', fill })), 'and its form')
})

t.test('a reset link sets another password and ends all sessions of the user', async (t) => {
  const { server, alice } = await start(t)
  const signedIn = openBrowser(server)
  const { code } = await signIn(signedIn, { scope: 'openid offline_access orders:read' })
  const { refresh_token } = tokensOf(await redeem(server, code))
  const browser = openBrowser(server)
  const page = await browser.open(await linkFor(server, alice))
  t.match((await browser.submit(page, { form: '/account/reset', fill })).body, /Your password is set/)
  t.notOk(await signsIn(server, 'alice', PASSWORD))
  t.ok(await signsIn(server, 'alice', NEW_PASSWORD))
  t.equal((await signedIn.open('/account')).path, '/login', 'the browser is signed out')
  t.equal((await refresh(server, refresh_token, { client_id: 'web' })).statusCode, 400)
  const events = server.logger
    .audits()
    .filter(({ audit }) => audit === 'user.changed' || audit === 'user_session.ended')
    .map(({ audit, actor, sub, action, reason }) => ({ audit, actor, sub, what: action ?? reason }))
  const by = { actor: `user:${alice.id}`, sub: alice.id }
  t.match(events, [
    { audit: 'user.changed', actor: 'operator:root', what: 'reset link created' },
    { ...by, audit: 'user.changed', what: 'password set by one-time link' },
    { ...by, audit: 'user_session.ended', what: 'password set by one-time link' },
  ])
})

t.test(
  'the browser that used the link is signed out too, unless another user is signed in there',
  async (t) => {
    const { server, alice, ivy } = await start(t)
    const browser = openBrowser(server)
    await signIn(browser)
    const invited = await browser.open(await linkFor(server, ivy, 'invite'))
    await browser.submit(invited, { form: '/account/invitation', fill })
    t.equal((await browser.open('/account')).path, '/account', 'alice stays signed in')
    const own = await browser.open(await linkFor(server, alice))
    await browser.submit(own, { form: '/account/reset', fill })
    t.equal((await browser.open('/account')).path, '/login')
  },
)

t.test('opening a link, by GET or HEAD and as often as wanted, uses nothing up', async (t) => {
  const { server, alice } = await start(t)
  const link = await linkFor(server, alice)
  const { pathname, search } = new URL(link)
  for (let i = 0; i < 5; i += 1) t.equal((await openBrowser(server).open(link)).status, 200)
  t.equal((await server.inject({ method: 'HEAD', url: pathname + search })).statusCode, 405)
  const secret = secretOf(link)
  t.not(await server.deps.accounts.linkUse.open('reset', secret), null)
  t.equal((await server.store.users.find(alice.id))?.revision, alice.revision)
})

t.test('a form without the CSRF token of the browser changes nothing', async (t) => {
  const { server, alice } = await start(t)
  const link = await linkFor(server, alice)
  const body = encodeForm({ secret: secretOf(link), ...fill })
  for (const from of ['same-origin', 'cross-site'] as const) {
    const page = await openBrowser(server).request('/account/reset', { method: 'POST', body, from })
    t.equal(page.status, 403, from)
  }
  t.ok(await signsIn(server, 'alice', PASSWORD))
  t.equal((await openBrowser(server).open(link)).status, 200, 'the link can still be used')
})

t.test('of fifty browsers that use a link at once, one sets the password', async (t) => {
  const { server, alice } = await start(t)
  const link = await linkFor(server, alice)
  const browsers = await openAll(server, link, 50)
  // The store decides, so the slow hash is left out.
  const { oneTimeLinks } = server.store
  const opened = await server.deps.accounts.linkUse.open('reset', secretOf(link))
  t.ok(opened)
  if (!opened) return
  const now = server.clock.now()
  const won = await Promise.all(
    browsers.slice(0, 45).map((_, i) => oneTimeLinks.setPassword(opened.link, `hash ${i}`, now)),
  )
  t.equal(won.filter(Boolean).length, 1)
  const rest = browsers.slice(45)
  const answers = await Promise.all(
    rest.map(({ browser, page }) => browser.submit(page, { form: '/account/reset', fill })),
  )
  t.ok(answers.every(isVoid))
})

t.test('of several browsers that submit the form at once, one gets through', async (t) => {
  const { server, alice } = await start(t)
  const opened = await openAll(server, await linkFor(server, alice), 8)
  const outcomes = await Promise.all(
    opened.map(async ({ browser, page }, i) => {
      const password = `a few words in row ${i}`
      const done = await browser.submit(page, {
        form: '/account/reset',
        fill: { new_password: password, new_password_repeat: password },
      })
      return { password, set: done.status === 200 }
    }),
  )
  const set = outcomes.filter((outcome) => outcome.set)
  t.equal(set.length, 1)
  t.ok(await signsIn(server, 'alice', set[0]?.password ?? ''))
})

const voids: Record<string, (server: TestServer, alice: User) => unknown> = {
  'its hour is over': ({ clock }) => clock.tick(3600),
  'the password changed': ({ store }, { id }) => store.users.setPasswordHash(id, 'x'),
  'the user was disabled': ({ store }, { id }) => store.users.setDisabled(id, true),
  'the user was disabled and enabled again': async ({ store }, { id }) => {
    await store.users.setDisabled(id, true)
    await store.users.setDisabled(id, false)
  },
  'a newer link was made for the same purpose': (server, alice) => linkFor(server, alice),
}

for (const [name, change] of Object.entries(voids)) {
  t.test(`a link is void once ${name}, even for a page that was opened before`, async (t) => {
    const { server, alice } = await start(t)
    const link = await linkFor(server, alice)
    const browser = openBrowser(server)
    const page = await browser.open(link)
    await change(server, alice)
    const before = await server.store.users.find(alice.id)
    t.ok(isVoid(await browser.submit(page, { form: '/account/reset', fill })))
    t.ok(isVoid(await browser.open(link)))
    t.same(await server.store.users.find(alice.id), before, 'nothing has changed')
  })
}

t.test('a link for one purpose is refused for another, and so is text that is no secret', async (t) => {
  const { server, alice, ivy } = await start(t)
  const reset = secretOf(await linkFor(server, alice))
  const invite = secretOf(await linkFor(server, ivy, 'invite'))
  const browser = openBrowser(server)
  const page = await browser.open(`${PAGES.reset}?secret=${reset}`)
  const csrf = page.form('/account/reset').fields.get('csrf') ?? ''
  for (const [path, secret] of [
    [PAGES.invite, reset],
    [PAGES.reset, invite],
    [PAGES.reset, ''],
    [PAGES.reset, reset.slice(1)],
    [PAGES.reset, `${reset}x`],
    [PAGES.reset, 'x'.repeat(5000)],
  ] as const) {
    t.ok(isVoid(await browser.open(`${path}?secret=${secret}`)))
    for (const end of ['', '/passkey', '/confirm']) {
      const body = encodeForm({ secret, csrf, ...fill })
      const answer = await browser.request(path + end, { method: 'POST', body, from: 'same-origin' })
      t.ok(isVoid(answer), `${path}${end}`)
    }
  }
  t.ok(isVoid(await browser.open(PAGES.reset)))
  t.equal((await browser.open(`${PAGES.reset}?secret=${reset}`)).status, 200, 'the link itself still works')
})

t.test('a password that breaks the rules is refused, and the link can still be used', async (t) => {
  const { server, ivy } = await start(t)
  const browser = openBrowser(server)
  let page = await browser.open(await linkFor(server, ivy, 'invite'))
  for (const [password, repeat, text] of [
    ['short', 'short', /at least 8 characters/],
    ['password1', 'password1', /most common/],
    [NEW_PASSWORD, `${NEW_PASSWORD}x`, /do not match/],
  ] as const) {
    page = await browser.submit(page, {
      form: '/account/invitation',
      fill: { new_password: password, new_password_repeat: repeat },
    })
    t.equal(page.status, 400)
    t.match(page.body, text)
  }
  const done = await browser.submit(page, { form: '/account/invitation', fill })
  t.equal(done.status, 200)
})

t.test('an invited user registers a passkey instead, and signs in with it', async (t) => {
  const { server, ivy } = await start(t)
  const browser = openBrowser(server)
  const link = await linkFor(server, ivy, 'invite')
  const page = await browser.open(link)
  const passkey = device()
  const done = await byPasskey(browser, page, '/account/invitation/passkey', passkey)
  t.equal(done.status, 200)
  t.match(done.body, /Your passkey has been added/)
  t.ok(isVoid(await browser.open(link)))
  const account = await byPasskey(browser, await browser.open('/account'), '/login/passkey', passkey)
  t.equal(account.path, '/account')
  t.notMatch(account.links, ['/account/password'], 'there is no password to change')
  t.equal((await browser.open('/account/password')).path, '/account')
  const removed = await browser.submit(account, { form: '/account/passkeys/remove' })
  t.match(removed.body, /you need this passkey to sign in/)
  t.equal((await server.store.factors.listPasskeys(ivy.id)).length, 1)
})

t.test(
  'a passkey that does not verify its user is refused, because it could not replace a password',
  async (t) => {
    const { server, ivy } = await start(t)
    const browser = openBrowser(server)
    const page = await browser.open(await linkFor(server, ivy, 'invite'))
    const real = device()
    const weak = {
      ...real,
      create: (options: Parameters<typeof real.create>[0]) => real.create(options, { userVerified: false }),
    }
    const refused = await byPasskey(browser, page, '/account/invitation/passkey', weak)
    t.equal(refused.status, 400)
    t.match(refused.body, /could not be added/)
    t.same(await server.store.factors.listPasskeys(ivy.id), [])
    t.equal((await byPasskey(browser, refused, '/account/invitation/passkey', device())).status, 200)
  },
)

t.test('of several passkeys that are registered with one link at once, one is stored', async (t) => {
  const { server, ivy } = await start(t)
  const opened = await openAll(server, await linkFor(server, ivy, 'invite'), 10)
  const answers = await Promise.all(
    opened.map(({ browser, page }) => byPasskey(browser, page, '/account/invitation/passkey', device())),
  )
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  t.equal(answers.filter(isVoid).length, 9)
  t.equal((await server.store.factors.listPasskeys(ivy.id)).length, 1)
})

/** Sets up an authenticator app for alice. */
async function enrolTotp(server: TestServer, alice: User): Promise<string> {
  const { secondFactors } = server.deps.accounts
  const { secret, pending } = secondFactors.startTotpSetup(alice)
  const from = { ip: '192.0.2.1', requestId: 'r' }
  t.equal(await secondFactors.confirmTotpSetup(alice, pending, codeAt(server, secret), from), 'confirmed')
  return secret
}

const codeAt = ({ clock }: TestServer, secret: string) =>
  new TOTP({ secret, algorithm: 'SHA1', digits: 6, period: 30 }).generate({ timestamp: clock.now() * 1000 })

const post = (browser: Browser, path: string, form: Record<string, string>) =>
  browser.request(path, { method: 'POST', body: encodeForm(form), from: 'same-origin' })

t.test('a user with a second factor proves it before the password is changed', async (t) => {
  const { server, alice } = await start(t)
  const totp = await enrolTotp(server, alice)
  const link = await linkFor(server, alice)
  const secret = secretOf(link)
  const browser = openBrowser(server)
  const page = await browser.open(link)
  t.throws(() => page.form('/account/reset'), 'the page asks for the factor first')
  const csrf = page.form('/account/reset/confirm').fields.get('csrf') ?? ''
  // A form that leaves the step out gets the step, whatever it claims.
  for (const proof of ['', 'x', `${server.clock.now() + 500}.v1.1.${'A'.repeat(43)}`]) {
    for (const path of ['/account/reset', '/account/reset/passkey']) {
      const answer = await post(browser, path, { secret, csrf, proof, ...fill })
      t.equal(answer.status, 400)
      t.ok(answer.form('/account/reset/confirm'))
    }
  }
  const wrong = await browser.submit(page, { form: '/account/reset/confirm', fill: { code: '000000' } })
  t.equal(wrong.status, 400)
  server.clock.tick(30)
  const proved = await browser.submit(wrong, {
    form: '/account/reset/confirm',
    fill: { code: codeAt(server, totp) },
  })
  t.equal(proved.status, 200)
  t.equal((await server.store.users.find(alice.id))?.passwordHash, alice.passwordHash)
  // The proof is for this browser and this link, and for ten minutes.
  const proof = proved.form('/account/reset').fields.get('proof') ?? ''
  const other = openBrowser(server)
  const theirs = await other.open(link)
  const theirCsrf = theirs.form('/account/reset/confirm').fields.get('csrf') ?? ''
  t.equal((await post(other, '/account/reset', { secret, csrf: theirCsrf, proof, ...fill })).status, 400)
  server.clock.tick(599)
  const mismatch = await browser.submit(proved, {
    form: '/account/reset',
    fill: { ...fill, new_password_repeat: 'x' },
  })
  t.equal(mismatch.status, 400)
  t.match((await browser.submit(mismatch, { form: '/account/reset', fill })).body, /Your password is set/)
})

t.test('a proof of the second factor is void after ten minutes, and with a newer link', async (t) => {
  const { server, alice } = await start(t)
  const totp = await enrolTotp(server, alice)
  const browser = openBrowser(server)
  const page = await browser.open(await linkFor(server, alice))
  server.clock.tick(30)
  const fields = { form: '/account/reset/confirm', fill: { code: codeAt(server, totp) } }
  const proved = await browser.submit(page, fields)
  const proof = proved.form('/account/reset').fields.get('proof') ?? ''
  const csrf = proved.form('/account/reset').fields.get('csrf') ?? ''
  const newer = secretOf(await linkFor(server, alice))
  t.equal((await post(browser, '/account/reset', { secret: newer, csrf, proof, ...fill })).status, 400)
  server.clock.tick(600)
  t.equal((await post(browser, '/account/reset', { secret: newer, csrf, proof, ...fill })).status, 400)
  t.equal((await server.store.users.find(alice.id))?.passwordHash, alice.passwordHash)
})

t.test('a passkey proves the second factor too', async (t) => {
  const { server, ivy } = await start(t)
  const browser = openBrowser(server)
  const passkey = device()
  const first = await browser.open(await linkFor(server, ivy, 'invite'))
  await byPasskey(browser, first, '/account/invitation/passkey', passkey)
  const again = await browser.open(await linkFor(server, ivy, 'invite'))
  t.throws(() => again.form('/account/invitation'))
  const proved = await byPasskey(browser, again, '/account/invitation/confirm', passkey)
  t.equal(proved.status, 200)
  await browser.submit(proved, { form: '/account/invitation', fill })
  t.ok((await server.store.users.find(ivy.id))?.passwordHash)
})

t.test('the secret is in no log line, and the store has only its hash', async (t) => {
  const { server, alice } = await start(t)
  const link = await linkFor(server, alice)
  const browser = openBrowser(server)
  const page = await browser.open(link)
  await browser.submit(page, { form: '/account/reset', fill })
  await browser.open(link)
  await server.inject({ method: 'GET', url: `/unknown?secret=${secretOf(link)}` })
  const later = await linkFor(server, alice)
  await server.deps.base.auditLog.flush('all')
  const rows = JSON.stringify([
    await server.store.db.query('SELECT * FROM one_time_links'),
    await server.store.db.query('SELECT * FROM audit'),
  ])
  for (const secret of [secretOf(link), secretOf(later)]) {
    t.notOk(JSON.stringify(server.logger.lines).includes(secret))
    t.notOk(rows.includes(secret))
  }
})

t.test('a login to an account without a password fails like one with a wrong password', async (t) => {
  const { server } = await start(t)
  const answers = []
  for (const username of ['ivy', 'alice', 'unknown']) {
    for (const password of ['wrong wrong wrong', '']) {
      const { statusCode, body } = await login(server, { username, password })
      answers.push(`${password === ''} ${statusCode} ${body}`)
    }
  }
  t.equal(new Set(answers).size, 2, 'an empty password is a missing parameter; otherwise all are equal')
  const page = await openBrowser(server).open(authorizeUrl())
  t.equal(page.path, '/login')
})

t.test('links are made only for what an account needs', async (t) => {
  const { server, alice, ivy } = await start(t)
  const make = (owner: User, purpose: LinkPurpose) => linkFor(server, owner, purpose)
  await t.rejects(make(alice, 'invite'), { code: 'account_conflict' })
  await t.rejects(make(ivy, 'reset'), { code: 'account_conflict' })
  await server.store.users.setDisabled(alice.id, true)
  await t.rejects(make(alice, 'reset'), { code: 'account_conflict' }, 'it was disabled meanwhile')
})
