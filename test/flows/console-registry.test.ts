/** The console's pages of clients, their secrets, and APIs. */
import t, { type Test } from 'tap'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import { consoleServer, enter, LOOPBACK } from '../support/browser/console.ts'
import { basic, post } from '../support/server/requests.ts'
import type { TestServer } from '../support/server/server.ts'

const press = (
  browser: Browser,
  page: Page,
  input: { fill?: Record<string, string>; check?: string[] } = {},
) => browser.submit(page, { form: new URL(page.url, LOOPBACK).pathname, ...input })

const shownSecret = ({ body }: Page) => /class="once"><code>([^<]+)</.exec(body)?.[1] ?? ''

const tokenStatus = async (server: TestServer, id: string, secret: string) => {
  await server.poll()
  const form = { grant_type: 'client_credentials' }
  return (await post(server, '/oauth2/token', form, { authorization: basic(id, secret) })).statusCode
}

/** A machine client, and its secret. */
async function createMachine(server: TestServer) {
  const { browser, page } = await enter(server, '/admin/clients/new')
  const filled = { client_id: 'billing', client_name: 'Billing', scope: 'orders:read' }
  const blank = { ...Object.fromEntries(page.form('/admin/clients/new').fields), ...filled }
  const body = new URLSearchParams({ ...blank, 'grant.client_credentials': 'yes' })
  body.delete('grant.authorization_code')
  body.delete('grant.refresh_token')
  const shown = await browser.request('/admin/clients/new', {
    method: 'POST',
    body: body.toString(),
    from: 'same-origin',
  })
  return { browser, shown, secret: shownSecret(shown) }
}

t.test('the secret of a new client is shown once, and works', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser, shown, secret } = await createMachine(server)
  t.equal(shown.status, 200)
  t.match(shown.headers['cache-control'], 'no-store')
  t.match(shown.body, /shown only once/)
  t.equal(await tokenStatus(server, 'billing', secret), 200)
  const page = await browser.open('/admin/clients/show?client=billing')
  t.match(page.body, 'client_credentials')
  t.notMatch(page.body, secret)
  t.match((await browser.open('/admin/clients?search=bill')).body, /client=billing/)
})

t.test('a change of a client sends only what was touched, and shows what follows', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser } = await createMachine(server)
  const form = await browser.open('/admin/clients/change?client=billing')
  // Another administrator changes another field meanwhile.
  await server.store.clients.update('billing', (one) => ({ ...one, clientUri: 'https://billing.example' }))
  const late = await press(browser, form, { fill: { scope: '' } })
  t.equal(late.status, 412)
  t.match(late.body, /<ins>https:\/\/billing\.example<\/ins>/)
  const changed = await press(browser, late)
  t.match(changed.body, /the client can no longer request the scopes orders:read/)
  t.match(await server.store.clients.find('billing'), { scopes: [], clientUri: 'https://billing.example' })
  const refused = await press(browser, await browser.open('/admin/clients/change?client=billing'), {
    fill: { redirect_uris: 'http://evil.example/cb', jwks: 'no json' },
  })
  t.equal(refused.status, 400)
  t.match(refused.body, /aria-invalid="true"/)
  t.match(refused.body, 'http://evil.example/cb')
})

t.test('the longest form of a client is accepted: every member set, and another one changed', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser } = await createMachine(server)
  const uri = 'https://billing.example'
  await server.store.clients.update('billing', (one) => ({
    ...one,
    ...{ backchannelLogoutUri: uri, clientUri: uri, policyUri: uri, tosUri: uri },
    ...{ firstParty: true, requireSecondFactor: true, requirePushedRequests: true },
    ...{ acceptEndpointAudience: true, requireDpop: true, requireMtlsBound: true },
  }))
  const form = await browser.open('/admin/clients/change?client=billing')
  const changed = await press(browser, form, { fill: { id_token_signed_response_alg: 'RS256' } })
  t.match(changed.body, /was changed/)
  t.match(await server.store.clients.find('billing'), { idTokenSigningAlg: 'RS256', tosUri: uri })
})

t.test(
  'docs/security.md V6: a reload of a page that shows a secret makes no other client and no other secret',
  async (t) => {
    const server = await consoleServer(t as Test)
    const { browser } = await enter(server)
    const fill = { client_name: 'Billing', redirect_uris: 'https://billing.example/cb' }
    const form = await browser.open('/admin/clients/new')
    const send = (changed = {}) => press(browser, form, { fill: { ...fill, ...changed } })
    t.ok(shownSecret(await send()))
    const { length } = await server.store.clients.page(null, 99)
    const again = await send()
    t.match([again.path, again.status], ['/admin/clients/show', 200])
    t.equal((await server.store.clients.page(null, 99)).length, length)
    t.ok(shownSecret(await send({ client_name: 'Another' })))
    t.equal(
      (await server.store.clients.page(null, 99)).length,
      length + 1,
      'other values are another request',
    )

    const id = new URL(again.url).searchParams.get('client') ?? ''
    const adding = await browser.open(`/admin/clients/secrets/new?client=${id}`)
    t.ok(shownSecret(await press(browser, adding)))
    t.match((await press(browser, adding)).body, /was shown, and cannot be shown again/)
    t.equal((await server.store.clients.find(id))?.secrets.length, 2)
  },
)

t.test('a secret is rotated with an overlap, and the old one is ended', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser, secret } = await createMachine(server)
  const shown = await press(browser, await browser.open('/admin/clients/secrets/new?client=billing'), {
    fill: { overlap: 'day' },
  })
  const fresh = shownSecret(shown)
  t.equal(await tokenStatus(server, 'billing', secret), 200, 'both are good')
  t.equal(await tokenStatus(server, 'billing', fresh), 200)
  const { body } = await browser.open('/admin/clients/show?client=billing')
  const [oldest = ''] = [...body.matchAll(/secret=(cs_[\w-]+)/g)].map(([, id = '']) => id)
  const asked = await browser.open(`/admin/clients/secrets/end?client=billing&secret=${oldest}`)
  t.match(asked.body, /From now on it is refused/)
  t.match((await press(browser, asked)).body, /has ended/)
  t.equal(await tokenStatus(server, 'billing', secret), 401)
  t.equal(await tokenStatus(server, 'billing', fresh), 200)
  t.equal((await browser.open('/admin/clients/secrets/end?client=billing&secret=cs_none')).status, 404)
})

t.test('the last good secret is ended only by an administrator who insists', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser, secret } = await createMachine(server)
  const { body } = await browser.open('/admin/clients/show?client=billing')
  const id = /secret=(cs_[\w-]+)/.exec(body)?.[1] ?? ''
  const asked = await browser.open(`/admin/clients/secrets/end?client=billing&secret=${id}`)
  const refused = await press(browser, asked)
  t.equal(refused.status, 409)
  t.equal(await tokenStatus(server, 'billing', secret), 200)
  t.match((await press(browser, refused, { check: ['force'] })).body, /has ended/)
  t.equal(await tokenStatus(server, 'billing', secret), 401)
})

t.test('a client is disabled, enabled and deleted', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser, secret } = await createMachine(server)
  const asked = await browser.open('/admin/clients/disable?client=billing')
  t.match(asked.body, /All its requests are refused, and its sessions and tokens end/)
  const disabled = await press(browser, asked)
  t.match(disabled.body, /is disabled/)
  t.equal(await tokenStatus(server, 'billing', secret), 401)
  await browser.submit(disabled, { form: '/admin/clients/enable' })
  t.equal(await tokenStatus(server, 'billing', secret), 200)
  await press(browser, await browser.open('/admin/clients/delete?client=billing'))
  t.equal(await server.store.clients.find('billing'), null)
  t.equal((await browser.open('/admin/clients/show?client=billing')).status, 404)
})

t.test('an API is created, changed and deleted', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser, page } = await enter(server, '/admin/apis/new')
  const identifier = 'https://invoices.example'
  const scopes = 'invoices:read\ninvoices:write'
  const scope_texts = 'invoices:read = See your invoices'
  const created = await press(browser, page, { fill: { identifier, name: 'Invoices', scopes, scope_texts } })
  t.match(created.body, /was created/)
  t.match(await server.store.apis.find(identifier), {
    name: 'Invoices',
    scopes: ['invoices:read', 'invoices:write'],
    scopeTexts: { 'invoices:read': 'See your invoices' },
    accessTokenTtl: null,
  })
  const form = await browser.open(`/admin/apis/change?identifier=${encodeURIComponent(identifier)}`)
  const refused = await press(browser, form, { fill: { access_token_ttl: 'soon' } })
  t.equal(refused.status, 400)
  t.match(refused.body, /id="field-access-token-ttl-error"/)
  await press(browser, refused, {
    fill: {
      access_token_ttl: '300',
      signing_alg: 'RS256',
      scope_texts: 'invoices:write = Change your invoices',
    },
  })
  t.match(await server.store.apis.find(identifier), {
    scopeTexts: { 'invoices:write': 'Change your invoices' },
    accessTokenTtl: 300,
    signingAlg: 'RS256',
  })
  const asked = await browser.open(`/admin/apis/delete?identifier=${encodeURIComponent(identifier)}`)
  t.match(asked.body, /Tokens are no longer issued for it, and its scopes belong to no API/)
  await press(browser, asked)
  t.equal(await server.store.apis.find(identifier), null)
  t.equal((await openBrowser(server).request('/admin/apis')).status, 303)
})
