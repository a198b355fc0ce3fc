/** What the forms of the console carry, and what they cost. */
import t, { type Test } from 'tap'
import type { Page } from '../support/browser/browser.ts'
import { consoleServer, enter } from '../support/browser/console.ts'
import { administrator } from '../support/server/administrator.ts'

async function started(t: Test) {
  const server = await consoleServer(t)
  const { send } = await administrator(server)
  const { browser } = await enter(server)
  const open = (path: string) => browser.open(`/admin${path}`)
  const submit = (page: Page, path: string, fill: Record<string, string> = {}) =>
    browser.submit(page, { form: `/admin${path}`, fill })
  const confirm = async (path: string) => submit(await open(path), path.replace(/\?.*/, ''))
  return { server, send, open, submit, confirm }
}

const numbered = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i))

/** Resources that the API accepts, each larger than what a form can carry twice. */
const LARGE = {
  uris: numbered(400, (i) => `https://app.example/${'x'.repeat(60)}/${i}`),
  scopes: numbered(800, (i) => `scope-${i}:${'x'.repeat(80)}`),
}

t.test('a client of any size is changed, disabled and deleted (docs/security.md V5)', async (t) => {
  const { server, send, open, submit, confirm } = await started(t as Test)
  const client = {
    client_id: 'large',
    client_name: 'Large',
    grant_types: ['authorization_code'],
    redirect_uris: LARGE.uris,
    scope: 'openid',
  }
  t.equal((await send('POST', '/clients', client)).statusCode, 201)
  const form = await open('/clients/change?client=large')
  t.equal((await submit(form, '/clients/change', { client_name: 'Larger' })).status, 200)
  t.match(await server.store.clients.find('large'), { name: 'Larger', redirectUris: LARGE.uris })
  await send('PATCH', '/clients/large', { post_logout_redirect_uris: LARGE.uris })
  t.equal((await confirm('/clients/disable?client=large')).status, 200)
  t.match(await server.store.clients.find('large'), { disabled: true })
  t.equal((await confirm('/clients/delete?client=large')).status, 200)
  t.equal(await server.store.clients.find('large'), null)
})

t.test('an API, a role and a user of any size are deleted (docs/security.md V5)', async (t) => {
  const { server, send, confirm } = await started(t as Test)
  const { scopes } = LARGE
  const texts = Object.fromEntries(scopes.map((scope) => [scope, 'A text that people read']))
  const created = await send('POST', '/apis', {
    identifier: 'https://large.example',
    scopes,
    scope_texts: texts,
  })
  t.equal(created.statusCode, 201)
  t.equal((await send('POST', '/roles', { name: 'large', scopes })).statusCode, 201)
  const roles = numbered(700, (i) => `role-${i}-${'x'.repeat(80)}`)
  for (const name of roles)
    await server.store.roles.insert({
      name,
      scopes: ['orders:read'],
      requireSecondFactor: false,
      createdAt: 1,
    })
  t.equal((await send('POST', '/users', { username: 'large', roles })).statusCode, 201)
  for (const path of ['/roles/delete?name=large', '/users/disable?user=large', '/users/delete?user=large'])
    t.equal((await confirm(path)).status, 200, path)
  t.equal(
    (await confirm(`/apis/delete?identifier=${encodeURIComponent('https://large.example')}`)).status,
    200,
  )
  t.equal(await server.store.roles.find('large'), null)
  t.equal(await server.store.users.findByUsername('large'), null)
  t.equal(await server.store.apis.find('https://large.example'), null)
})

t.test(
  'what another administrator has changed is found in a long value too (docs/security.md V3)',
  async (t) => {
    const { server, send, open, submit } = await started(t as Test)
    const scopes = numbered(300, (i) => `scope-${i}:${'x'.repeat(80)}`)
    await send('POST', '/apis', { identifier: 'https://large.example', scopes })
    await send('POST', '/roles', { name: 'large', scopes })
    const change = await open('/roles/change?name=large')
    const doomed = await open('/roles/delete?name=large')
    await send('PATCH', '/roles/large', { scopes: scopes.slice(1) })
    const late = await submit(doomed, '/roles/delete')
    t.equal(late.status, 412)
    t.match(late.body, /<del>…<\/del>/)
    t.match(late.body, `<ins>${scopes[1]}<br>`)
    const conflict = await submit(change, '/roles/change')
    t.equal(conflict.status, 412)
    t.match(conflict.body, /<del>…<\/del>/)
    t.equal(conflict.form('/admin/roles/change').fields.get('scopes'), scopes.slice(1).join('\n'))
    t.equal((await submit(conflict, '/roles/change', { scopes: 'orders:read' })).status, 200)
    t.match(await server.store.roles.find('large'), { scopes: ['orders:read'] })
  },
)

t.test('the address after an action is shorter than proxies allow, whatever the names are', async (t) => {
  const { server, send } = await started(t as Test)
  const identifier = `https://a.example/${'"'.repeat(470)}`
  t.equal((await send('POST', '/apis', { identifier, scopes: ['z:a'] })).statusCode, 201)
  for (const name of numbered(14, (i) => `${'界'.repeat(190)}${i}`)) {
    const client = { client_id: name, client_name: name, grant_types: ['client_credentials'], scope: 'z:a' }
    t.equal((await send('POST', '/clients', client)).statusCode, 201)
  }
  const { browser } = await enter(server)
  const page = await browser.open(`/admin/apis/change?identifier=${encodeURIComponent(identifier)}`)
  const changed = await browser.send(page, {
    form: '/admin/apis/change',
    fill: { scopes: 'z:b' },
  })
  t.equal(changed.status, 303)
  t.ok(`${changed.location}`.length < 7000, `${`${changed.location}`.length} characters`)
})

t.test('no text of an API is costly to read (docs/security.md R8)', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser } = await enter(server)
  const page = await browser.open('/admin/apis/new')
  const fields = Object.fromEntries(page.form('/admin/apis/new').fields)
  const space = ' '.repeat(3000)
  for (const line of [`a${space}b\u2028c`, `a${space}=${space}b\u2029c`, `a${'='.repeat(3000)}\u2028c`]) {
    const body = new URLSearchParams({
      ...fields,
      identifier: 'https://a.example',
      scopes: 'a',
      scope_texts: line,
    })
    const before = process.threadCpuUsage()
    const answer = await browser.request('/admin/apis/new', {
      method: 'POST',
      body: body.toString(),
      from: 'same-origin',
    })
    const { user, system } = process.threadCpuUsage(before)
    t.equal(answer.status, 400)
    // A pattern that tried every division of the spaces needed half a minute.
    t.ok(user + system < 2_000_000, `${line.slice(0, 5)} costs ${user + system} µs`)
  }
})
