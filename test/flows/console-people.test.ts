/** The console's pages of users and sessions. */
import t, { type Test } from 'tap'
import { ADMIN_ROLE } from '../../src/admin/built-ins.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { consoleServer, enter, LOOPBACK } from '../support/browser/console.ts'
import { login } from '../support/server/requests.ts'

const press = (
  browser: Browser,
  page: Page,
  input: { fill?: Record<string, string>; check?: string[] } = {},
) => browser.submit(page, { form: new URL(page.url, LOOPBACK).pathname, ...input })

t.test('a user is invited with a link that is shown once, changed, renamed and deleted', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser, page } = await enter(server, '/admin/users/new')
  const invited = await press(browser, page, { fill: { username: 'dora', name: 'Dora', roles: 'clerk' } })
  t.equal(invited.status, 200)
  t.match(invited.headers['cache-control'], 'no-store')
  const link = /class="once"><code>([^<]+)</.exec(invited.body)?.[1] ?? ''
  t.match(link, LOOPBACK)
  t.match(invited.body, /hand the link over in a way that no one else can read/)
  t.match(await server.store.users.findByUsername('dora'), { roles: ['clerk'], name: 'Dora' })
  t.notMatch((await browser.open('/admin/users/show?user=dora')).body, link)
  const form = await browser.open('/admin/users/change?user=dora')
  const renamed = await press(browser, form, { fill: { username: 'dorothea', email: 'd@example.test' } })
  t.match(renamed.url, /user=dorothea/)
  t.match(await server.store.users.findByUsername('dorothea'), { email: 'd@example.test', roles: ['clerk'] })
  t.match((await browser.open('/admin/users?role=clerk')).body, /user=dorothea/)
  t.notMatch((await browser.open('/admin/users?role=clerk')).body, /user=root/)
  const asked = await browser.open('/admin/users/delete?user=dorothea')
  t.match(asked.body, /All sessions end, and the account cannot be restored/)
  t.match((await press(browser, asked)).body, /was deleted/)
  t.equal(await server.store.users.findByUsername('dorothea'), null)
})

t.test('a link for a new password is made for a user who forgot it', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser, page } = await enter(server, '/admin/users/show?user=alice')
  const made = await browser.submit(page, { form: '/admin/users/reset-link' })
  t.match(made.body, /shown only once/)
  t.match(/class="once"><code>([^<]+)</.exec(made.body)?.[1], LOOPBACK)
  const links = () => server.store.db.query('SELECT * FROM one_time_links')
  const before = await links()
  const reloaded = await browser.submit(page, { form: '/admin/users/reset-link' })
  t.match(reloaded.body, /was shown, and cannot be shown again/)
  t.same(await links(), before, 'a reload makes no other link')
  const other = await browser.open('/admin/users/show?user=alice')
  t.match((await browser.submit(other, { form: '/admin/users/reset-link' })).body, /shown only once/)
})

t.test('the last administrator loses the role or is disabled only if somebody insists', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser } = await enter(server)
  const form = await browser.open('/admin/users/change?user=root')
  const refused = await press(browser, form, { fill: { roles: '' } })
  t.equal(refused.status, 409)
  t.match(refused.body, /name="force"/)
  const asked = await browser.open('/admin/users/disable?user=root')
  const stopped = await press(browser, asked)
  t.equal(stopped.status, 409)
  t.match(stopped.body, /name="force"/)
  t.match(await server.store.users.findByUsername('root'), { roles: [ADMIN_ROLE], disabled: false })
  const gone = await press(browser, stopped, { check: ['force'] })
  t.match(gone.path, '/login', 'the visit has ended')
  t.match(await server.store.users.findByUsername('root'), { disabled: true })
})

t.test('a session is ended, and all sessions of a user', async (t) => {
  const server = await consoleServer(t as Test)
  await login(server)
  const { browser, page } = await enter(server, '/admin/sessions?user=alice')
  const id = /session=([\w-]+)/.exec(page.body)?.[1] ?? ''
  const asked = await browser.open(`/admin/sessions/end?session=${id}`)
  t.match(asked.body, /Its refresh tokens are invalid at once/)
  t.match((await press(browser, asked)).body, /has ended/)
  t.not((await server.store.clientSessions.find(id))?.revokedAt, null)
  const { refresh_token } = (await login(server)).json()
  t.ok(refresh_token)
  const all = await browser.open('/admin/sessions/end-all?user=alice')
  t.match(all.body, /also signed out of all browsers/)
  await press(browser, all)
  const alice = await server.store.users.findByUsername('alice')
  const left = (await server.store.clientSessions.list({ userId: alice?.id ?? '' }, 10)).filter(
    ({ revokedAt }) => revokedAt === null,
  )
  t.same(left, [])
  t.equal((await browser.open('/admin/sessions?user=nobody')).status, 404)
  t.equal((await browser.open('/admin/sessions/end?session=nothing')).status, 404)
  t.equal((await browser.open('/admin/sessions/end-all')).status, 400)
})

t.test('the second factors of a user are removed', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser } = await enter(server)
  const asked = await browser.open('/admin/users/reset-second-factor?user=alice')
  t.match(asked.body, /The authenticator app, all passkeys and all recovery codes of the user are removed/)
  t.match((await press(browser, asked)).body, /second factors of .* were removed/)
})
