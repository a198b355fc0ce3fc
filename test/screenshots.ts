/**
 * `npm run screenshots`: every page on a phone and a desktop, light and dark, into docs/screenshots. The pages come
 * from a running server and are reached as users reach them.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, statSync } from 'node:fs'
import { TOTP } from 'otpauth'
import type { Page } from 'playwright-core'
import t from 'tap'
import { browser } from './support/browser/chromium.ts'
import { browserWorld, typePassword } from './support/browser/chromium-sign-in.ts'
import { root } from './support/docs/documents.ts'
import { pngImage } from './support/server/image-server.ts'
import { ORDERS } from './support/server/seed.ts'

const FOLDER = `${root}docs/screenshots`
const SCREENS = {
  phone: { viewport: { width: 390, height: 844 } },
  desktop: { viewport: { width: 1280, height: 900 } },
} as const

t.test('screenshots', { timeout: 300_000 }, async (t) => {
  const { issuer, app, server, register } = await browserWorld(t)
  rmSync(FOLDER, { recursive: true, force: true })
  mkdirSync(FOLDER, { recursive: true })
  let count = 0
  let bytes = 0

  for (const [screen, { viewport }] of Object.entries(SCREENS)) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const context = await (await browser()).newContext({ viewport, colorScheme, locale: 'en-GB' })
      const page = await context.newPage()
      const devtools = await context.newCDPSession(page)
      const shoot = async (name: string, of: Page = page) => {
        await of.getByRole('heading', { level: 1 }).waitFor()
        const path = `${FOLDER}/${name}-${screen}-${colorScheme}.png`
        await of.screenshot({ path, animations: 'disabled', caret: 'initial' })
        count += 1
        bytes += statSync(path).size
      }
      await walk(page, shoot, () => devtools.send('WebAuthn.enable'))
      await context.close()
    }
  }
  t.comment(`${count} pictures, ${Math.round(bytes / 1024)} KiB`)

  async function walk(page: Page, shoot: (name: string) => Promise<void>, passkeys: () => Promise<unknown>) {
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
