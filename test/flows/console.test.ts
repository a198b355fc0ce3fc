/** The console without a browser: who may enter, forms that others send or that are old, and two administrators at once. */
import { TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import { consoleServer, enter, LOOPBACK } from '../support/browser/console.ts'
import { encodeForm } from '../support/server/requests.ts'
import { user } from '../support/server/seed.ts'
import type { TestServer } from '../support/server/server.ts'

async function withoutRole(server: TestServer): Promise<void> {
  const root = await server.store.users.findByUsername('root')
  await server.store.users.update(root?.id ?? '', (one) => ({ ...one, roles: [] }))
}

const CLERKS = { name: 'clerks', scopes: 'orders:read\norders:write' }

const createRole = async (browser: Browser, fill: Record<string, string> = CLERKS): Promise<Page> =>
  browser.submit(await browser.open('/admin/roles/new'), { form: '/admin/roles/new', fill })

t.test('who is not signed in signs in first, and comes back to the page that they asked for', async (t) => {
  const server = await consoleServer(t as Test)
  const { page } = await enter(server, '/admin/roles?search=cl')
  t.equal(page.status, 200)
  t.equal(page.url, `${LOOPBACK}/admin/roles?search=cl`)
  t.match(page.headers, {
    'cache-control': 'no-store',
    'x-frame-options': 'DENY',
    'x-content-type-options': 'nosniff',
  })
  t.match(
    page.headers['content-security-policy'],
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; form-action 'self'",
  )
  t.notMatch(page.body, / style="| onclick="|<script>/)
})

t.test(
  'a user without the role gets 403 from every page, and it is an audit event (docs/security.md V1)',
  async (t) => {
    const server = await consoleServer(t as Test)
    const { browser, page } = await enter(server, '/admin/roles', 'alice')
    t.equal(page.status, 403)
    t.match(page.body, /You are not an administrator/)
    t.equal((await browser.open('/admin/roles/new')).status, 403)
    const [event] = server.logger.audits('administration.refused')
    t.match(event, { reason: 'access_denied', detail: 'role_missing' })
  },
)

t.test(
  'taking the role away ends a visit with the next request, and a form that is still open changes nothing (docs/security.md V1)',
  async (t) => {
    const server = await consoleServer(t as Test)
    const { browser } = await enter(server, '/admin/roles')
    const form = await browser.open('/admin/roles/new')
    t.equal(form.status, 200)
    await withoutRole(server)
    t.equal((await browser.submit(form, { form: '/admin/roles/new', fill: CLERKS })).status, 403)
    t.equal(await server.store.roles.find('clerks'), null)
    t.equal((await browser.open('/admin/roles')).status, 403)
  },
)

t.test(
  'a form of another site, of another browser or without a token changes nothing (RFC 9700 §4.7; docs/security.md V2)',
  async (t) => {
    const server = await consoleServer(t as Test)
    const { browser } = await enter(server, '/admin/roles')
    const form = await browser.open('/admin/roles/new')
    const { fields } = form.form('/admin/roles/new')
    const filled = { ...Object.fromEntries(fields), ...CLERKS }
    const post = (body: Record<string, string>, from: 'same-origin' | 'cross-site' = 'same-origin') =>
      browser.request('/admin/roles/new', { method: 'POST', body: encodeForm(body), from })
    t.equal((await post(filled, 'cross-site')).status, 403)
    t.equal((await post({ ...filled, csrf: '' })).status, 403)
    const other = await enter(server, '/admin/roles')
    const foreign =
      (await other.browser.open('/admin/roles/new')).form('/admin/roles/new').fields.get('csrf') ?? ''
    t.equal((await post({ ...filled, csrf: foreign })).status, 403)
    t.equal(await server.store.roles.find('clerks'), null)
    t.equal((await post(filled)).status, 303)
  },
)

t.test('a role is created, changed and deleted, and each page says what follows', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser } = await enter(server, '/admin/roles')
  const created = await createRole(browser)
  t.equal(created.path, '/admin/roles/show')
  t.match(created.body, /The role <bdi class="name">clerks<\/bdi> was created/)
  await server.store.users.insert(await user({ username: 'carol', roles: ['clerks'] }))
  const form = await browser.open('/admin/roles/change?name=clerks')
  const changed = await browser.submit(form, {
    form: '/admin/roles/change',
    fill: { scopes: 'orders:read' },
    check: ['require_second_factor'],
  })
  t.match(changed.body, /users who no longer have orders:write from this role: carol/)
  t.match(await server.store.roles.find('clerks'), { scopes: ['orders:read'], requireSecondFactor: true })
  const asked = await browser.open('/admin/roles/delete?name=clerks')
  t.match(asked.body, /Its users lose the scopes that it grants/)
  const gone = await browser.submit(asked, { form: '/admin/roles/delete' })
  t.match(gone.body, /was deleted/)
  t.match(gone.body, /users who no longer have the role: carol/)
  t.equal((await browser.open('/admin/roles/show?name=clerks')).status, 404)
  const root = await server.store.users.findByUsername('root')
  const actors = server.logger.audits('role.changed').map(({ actor }) => actor)
  t.same(actors, Array(3).fill(`user:${root?.id}`))
})

t.test('a value that is not valid is named beside its field, and what was typed stays', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser } = await enter(server, '/admin/roles')
  const refused = await createRole(browser, { name: 'two words', scopes: 'orders:read' })
  t.equal(refused.status, 400)
  t.match(refused.body, /id="field-name-error" lang="en">a role name must be/)
  t.match(refused.body, /value="two words"/)
  const unowned = await createRole(browser, { name: 'clerks', scopes: 'orders:raed' })
  t.equal(unowned.status, 400)
  t.match(unowned.body, /no API has the scope orders:raed/)
  const insisted = await browser.submit(unowned, {
    form: '/admin/roles/new',
    fill: { scopes: 'orders:raed' },
    check: ['allow_unowned'],
  })
  t.match(insisted.body, /was created/)
})

t.test(
  'of two administrators the second sees what the first has changed (412), and keeps what they typed (RFC 9110 §13.1.1; docs/security.md V3)',
  async (t) => {
    const server = await consoleServer(t as Test)
    const [one, two] = [await enter(server, '/admin/roles'), await enter(server, '/admin/roles')]
    await createRole(one.browser)
    const form = await two.browser.open('/admin/roles/change?name=clerks')
    const doomed = await two.browser.open('/admin/roles/delete?name=clerks')
    await one.browser.submit(await one.browser.open('/admin/roles/change?name=clerks'), {
      form: '/admin/roles/change',
      fill: { scopes: 'orders:read' },
    })
    const late = await two.browser.submit(form, {
      form: '/admin/roles/change',
      fill: { scopes: CLERKS.scopes },
      check: ['require_second_factor'],
    })
    t.equal(late.status, 412)
    t.match(late.body, /<del>orders:read<br>orders:write<\/del>/)
    t.match(late.body, /<ins>orders:read<\/ins>/)
    t.match(await server.store.roles.find('clerks'), { scopes: ['orders:read'], requireSecondFactor: false })
    t.match(late.body, /name="require_second_factor"[^>]* checked/)
    t.match(
      late.body,
      /<textarea[^>]*>\norders:read<\/textarea>/,
      'the field that they had not touched has the new value',
    )
    const again = await two.browser.submit(late, {
      form: '/admin/roles/change',
      fill: { scopes: 'orders:read' },
      check: ['require_second_factor'],
    })
    t.match(again.body, /was changed/)
    const kept = await two.browser.submit(doomed, { form: '/admin/roles/delete' })
    t.equal(kept.status, 412)
    t.ok(await server.store.roles.find('clerks'))
  },
)

t.test(
  'a message comes only from this server, and no parameter leads to another origin (docs/security.md V4)',
  async (t) => {
    const server = await consoleServer(t as Test)
    const { browser } = await enter(server, '/admin/roles')
    const created = await createRole(browser)
    const done = new URL(created.url, LOOPBACK).searchParams.get('done') ?? ''
    const [text = '', mac] = [done.slice(0, done.indexOf('.')), done.slice(done.indexOf('.') + 1)]
    const forged = Buffer.from(text, 'base64url').toString().replace('clerks', 'phish')
    const url = `/admin/roles?done=${Buffer.from(forged).toString('base64url')}.${mac}`
    t.notMatch((await browser.open(url)).body, /phish|was created/)
    const other = await enter(server, '/admin/roles')
    t.notMatch((await other.browser.open(created.url)).body, /was created/, 'in another browser')
    for (const path of [
      '/admin//evil.example',
      '/admin/%2f%2fevil.example',
      '/admin/roles/..//evil.example',
    ]) {
      const page = await openBrowser(server).request(path)
      t.equal(page.status, 404, path)
      t.equal(page.location, undefined, path)
    }
    const login = await openBrowser(server).request('/admin/roles?next=https://evil.example', {
      from: 'cross-site',
    })
    t.match(login.location, /^\/login\?flow=/)
  },
)

t.test('HEAD is refused, unknown pages are 404, and wrong methods are 405 (RFC 9110 §15.5.6)', async (t) => {
  const server = await consoleServer(t as Test)
  for (const url of ['/admin', '/admin/roles', '/admin/roles/new'])
    t.equal((await server.inject({ method: 'HEAD', url })).statusCode, 405, url)
  t.equal((await server.inject({ url: '/admin/nothing' })).statusCode, 404)
  const wrong = await server.inject({ method: 'POST', url: '/admin/roles' })
  t.equal(wrong.statusCode, 405)
  t.equal(wrong.headers.allow, 'GET')
})

t.test('away from loopback an administrator needs a second factor (docs/security.md V1)', async (t) => {
  const server = await consoleServer(t as Test, {})
  const { browser, page } = await enter(server, '/admin/roles')
  t.equal(page.status, 403)
  t.match(page.body, /Set up a second factor first/)
  const setUp = await browser.open('/account/totp')
  const secret = (/class="secret[^"]*">([^<]+)</.exec(setUp.body)?.[1] ?? '').replaceAll(' ', '')
  const code = () => new TOTP({ secret }).generate({ timestamp: server.clock.now() * 1000 })
  await browser.submit(setUp, { form: '/account/totp', fill: { code: code() } })
  t.equal((await browser.open('/admin/roles')).status, 200)
  server.clock.tick(60)
  const later = await enter(server, '/admin/roles')
  t.equal(later.page.path, '/login/second-factor', 'the password alone is not enough')
  const inside = await later.browser.submit(later.page, {
    form: '/login/second-factor',
    fill: { code: code() },
  })
  t.equal(inside.path, '/admin/roles')
  t.equal(inside.status, 200)
})

t.test('with KEYTURN_ADMIN=off there is no console', async (t) => {
  const server = await consoleServer(t as Test, { ISSUER: LOOPBACK, ADMIN: 'off' })
  t.equal((await server.inject({ url: '/admin' })).statusCode, 404)
  t.equal((await server.inject({ url: '/admin/roles' })).statusCode, 404)
})
