/**
 * `npm run screenshots`: every page on a phone and a desktop, light and dark, into docs/screenshots. The pages come
 * from a running server and are reached as users reach them.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, statSync } from 'node:fs'
import { TOTP } from 'otpauth'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { ADMIN_ROLE } from '../src/admin/built-ins.ts'
import { rotateRing } from '../src/keys/rotate.ts'
import { browser } from './support/browser/chromium.ts'
import { browserWorld, typePassword } from './support/browser/chromium-sign-in.ts'
import { root } from './support/docs/documents.ts'
import { pngImage } from './support/server/image-server.ts'
import { clientCredentials } from './support/server/requests.ts'
import { ORDERS } from './support/server/seed.ts'

const FOLDER = `${root}docs/screenshots`
const SCREENS = {
  phone: { viewport: { width: 390, height: 844 } },
  desktop: { viewport: { width: 1280, height: 900 } },
} as const

t.test('screenshots', { timeout: 300_000 }, async (t) => {
  const { issuer, app, server, register } = await browserWorld(t)
  rmSync(FOLDER, { recursive: true, force: true })
  await onEachScreen(t, walk)

  async function walk({ page, shoot, passkeys }: Screen) {
    const redirect_uri = 'https://shop.example/callback'
    const body = pngImage(96, [37, 99, 235])
    const hash = createHash('sha256').update(body).digest('base64url')
    await server.store.clientLogos.put({ hash, contentType: 'image/png', body, createdAt: 1 })
    await server.store.apis.update(ORDERS, (api) => ({
      ...api,
      name: 'Orders',
      scopeTexts: { 'orders:read': 'see your orders' },
    }))
    await register({
      redirectUris: [app.redirectUri, redirect_uri],
      logo: hash,
      clientUri: 'https://shop.example/',
      policyUri: 'https://shop.example/privacy',
      tosUri: 'https://shop.example/terms',
    })
    await page.goto(app.start({ client_id: 'nobody' }))
    await shoot('error')
    await page.goto(app.start({ redirect_uri }))
    await shoot('login')
    await typePassword(page, 'wrong')
    await page.getByRole('alert').waitFor()
    await shoot('login-wrong')
    await typePassword(page)
    await shoot('consent')
    await page.goto(app.start())
    await shoot('consent-device')
    await page.getByLabel('Don’t ask me again').check()
    await page.getByRole('button', { name: 'Allow' }).click()
    await page.getByText('Signed in').waitFor()
    await page.goto(app.start({ redirect_uri, login_hint: 'bob@example.test' }))
    await shoot('choose-account')
    await register({ redirectUris: [app.redirectUri, redirect_uri], requireSecondFactor: true })
    await page.goto(app.start())
    await shoot('enrol-required')
    await register({ redirectUris: [app.redirectUri, redirect_uri] })

    await page.goto(`${issuer}/account/password`)
    await shoot('change-password')
    await page.goto(`${issuer}/account/passkeys`)
    await passkeys()
    await shoot('add-passkey')
    await page.goto(`${issuer}/account/totp`)
    await shoot('enrol-totp')
    const secret = ((await page.locator('.secret').textContent()) ?? '').replace(/\s/g, '')
    const code = () => new TOTP({ secret }).generate({ timestamp: server.clock.now() * 1000 })
    await page.getByLabel('Code from the app').fill(code())
    await page.getByRole('button', { name: 'Turn on' }).click()
    await shoot('recovery-codes')
    await page.goto(`${issuer}/account?notice=totp-added`)
    await shoot('account')
    await page.evaluate('scrollTo(0, document.body.scrollHeight)')
    await shoot('account-below')
    server.clock.tick(60)
    await page.context().clearCookies()
    await page.goto(app.start())
    await typePassword(page)
    await shoot('second-factor')
    await page.getByLabel('Code from your authenticator app').fill(code())
    await page.getByRole('button', { name: 'Confirm', exact: true }).first().click()
    await page.getByText('Signed in').waitFor()
    await page.goto(`${issuer}/oauth2/logout`)
    await shoot('sign-out')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await shoot('signed-out')

    // Reset for the next screen.
    const alice = await server.store.users.findByUsername('alice')
    if (alice) {
      const from = { ip: '127.0.0.1', requestId: 'screenshots' }
      await server.deps.accounts.secondFactors.removeTotp(alice, from)
      await server.store.consents.delete(alice.id, 'shop')
    }
  }
})

t.test('screenshots of the console', { timeout: 300_000 }, async (t) => {
  const { issuer, server, alice } = await browserWorld(t)
  const { store, clock, deps } = server
  await store.users.update(alice.id, (one) => ({ ...one, roles: [...one.roles, ADMIN_ROLE] }))
  for (const [name, scopes] of [
    ['accountant', ['invoices:read', 'invoices:write']],
    ['warehouse', ['stock:read', 'stock:write', 'orders:read']],
  ] as const)
    await store.roles.insert({
      name,
      scopes,
      requireSecondFactor: name === 'accountant',
      createdAt: clock.now(),
    })
  // A ring with a past.
  for (const days of [9, 12, 3]) {
    clock.tick(days * 86_400)
    await rotateRing(deps.keys, { actor: 'operator:test' })
    await server.poll()
    await clientCredentials(server)
  }
  clock.tick(40_000)
  for (const [name, instance] of [
    ['orders', 'orders-7d4f'],
    ['stock', 'stock-1c9a'],
  ])
    await server.inject({
      url: '/.well-known/jwks.json',
      headers: { 'keyturn-verifier': `${name}; instance=${instance}` },
    })
  for (let n = 0; n < 7; n += 1) await clientCredentials(server)
  await server.poll()

  await onEachScreen(t, async ({ page, shoot }) => {
    await page.goto(`${issuer}/admin`)
    await typePassword(page)
    await shoot('console-overview')
    const pages = {
      keys: '/keys',
      rotate: '/keys/rotate',
      clients: '/clients',
      client: '/clients/show?client=shop',
      roles: '/roles',
      user: '/users/show?user=alice',
      audit: '/audit',
    }
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(`${issuer}/admin${path}`)
      await shoot(`console-${name}`)
    }
    const ring = await store.ring.read()
    const { kid } = ring?.keys.find(({ state }) => state === 'active') ?? { kid: '' }
    await page.goto(`${issuer}/admin/keys/revoke?kid=${kid}`)
    await shoot('console-revoke')
    await page.goto(`${issuer}/admin/roles/change?name=warehouse`)
    await store.roles.update('warehouse', (one) => ({ ...one, scopes: ['stock:read', 'orders:read'] }))
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('alert').waitFor()
    await shoot('console-changed')
    await store.roles.update('warehouse', (one) => ({
      ...one,
      scopes: ['stock:read', 'stock:write', 'orders:read'],
    }))
  })
})

interface Screen {
  readonly page: Page
  readonly shoot: (name: string) => Promise<void>
  readonly passkeys: () => Promise<unknown>
}

async function onEachScreen(t: Test, walk: (screen: Screen) => Promise<void>): Promise<void> {
  mkdirSync(FOLDER, { recursive: true })
  let count = 0
  let bytes = 0

  for (const [screen, { viewport }] of Object.entries(SCREENS)) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const context = await (await browser()).newContext({ viewport, colorScheme, locale: 'en-GB' })
      const page = await context.newPage()
      const devtools = await context.newCDPSession(page)
      const shoot = async (name: string) => {
        await page.getByRole('heading', { level: 1 }).waitFor()
        const path = `${FOLDER}/${name}-${screen}-${colorScheme}.png`
        await page.screenshot({ path, animations: 'disabled', caret: 'initial' })
        count += 1
        bytes += statSync(path).size
      }
      await walk({ page, shoot, passkeys: () => devtools.send('WebAuthn.enable') })
      await context.close()
    }
  }
  t.comment(`${count} pictures, ${Math.round(bytes / 1024)} KiB`)
}
