/** What holds for every page: cookies, frames, keyboard, small screens, languages. */

import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cookieNames } from '../../src/http/cookies.ts'
import { browserTest } from '../support/browser/chromium.ts'
import {
  allow,
  at,
  browserWorld,
  resultAt,
  signIn,
  typePassword,
} from '../support/browser/chromium-sign-in.ts'
import { pngImage } from '../support/server/image-server.ts'
import { listen } from '../support/server/listen.ts'
import { ORDERS, PASSWORD } from '../support/server/seed.ts'

browserTest(
  'the browser stores the cookies of an http issuer without Secure and __Host-, hides them from scripts and gets a new one at sign-in',
  async (t, open) => {
    const { app, issuer, register } = await browserWorld(t)
    const { browser, session } = cookieNames(issuer)
    await register({ firstParty: true })
    const window = await open()
    const page = await window.tab()
    await page.goto(app.start({ prompt: 'login' }))
    await at(t, page, 'Sign in')
    const guarded = { httpOnly: true, secure: false, sameSite: 'Lax', path: '/', domain: 'localhost' }
    const before = await window.cookies()
    t.same(Object.keys(before), [browser], 'there is no session before a sign-in')
    t.match(before[browser], { ...guarded, expires: -1 })
    t.equal(await page.evaluate('document.cookie'), '')
    await typePassword(page)
    await resultAt(page, app)
    const first = (await window.cookies())[session]
    t.match(first, guarded)

    await page.goto(app.start({ prompt: 'login' }))
    await at(t, page, 'Sign in')
    t.equal(await page.evaluate('document.cookie'), '')
    await typePassword(page)
    await resultAt(page, app)
    const second = (await window.cookies())[session]
    t.match(second, guarded)
    t.not(first?.value, second?.value, 'each login creates a new session (session fixation)')
  },
)

browserTest('a page framed by another origin shows nothing (clickjacking)', async (t, open) => {
  // On the same site: a frame on another site would not even receive the cookies.
  const { app, issuer } = await browserWorld(t, { host: 'http://localhost' })
  const window = await open()
  const page = await window.tab()
  await page.goto(app.start())
  const login = page.url()
  await signIn(t, page)
  await at(t, page, 'Allow The Shop to access your account?')
  const consent = page.url()
  for (const url of [login, consent, `${issuer}/account`, `${issuer}/oauth2/logout`]) {
    window.expect(/error: Framing .*frame-ancestors 'none'/, /request: .* net::ERR_BLOCKED_BY_RESPONSE/)
    const refused = page.waitForEvent('requestfailed')
    await page.goto(app.framing(url))
    const { pathname } = new URL((await refused).url())
    t.equal(pathname, url === login ? '/consent' : new URL(url).pathname)
    await page.getByText('Win a prize').waitFor()
    const [inside] = page.frames().slice(1)
    t.match(inside?.url(), 'chrome-error:', `${pathname} is not in the frame`)
  }
})

browserTest(
  'sign-in and consent can be completed with the keyboard alone (WCAG 2.2, 2.1.1)',
  async (t, open) => {
    const { app } = await browserWorld(t)
    const window = await open()
    const page = await window.tab()
    await page.goto(app.start())
    await at(t, page, 'Sign in')
    t.equal(await page.locator(':focus').getAttribute('name'), 'username', 'the focus is on the first field')
    await page.keyboard.type('alice')
    await page.keyboard.press('Tab')
    await page.keyboard.type('wrong')
    window.expect(/status of 400/)
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press('Enter')
    await at(t, page, 'Allow The Shop to access your account?')

    const stops: string[] = []
    for (let stop = ''; stop !== 'Allow' && stops.length < 10; stops.push(stop)) {
      await page.keyboard.press('Tab')
      const focused = page.locator(':focus')
      stop = (await focused.innerText()) || ((await focused.getAttribute('name')) ?? '')
      const { width } = (await focused.boundingBox()) ?? { width: 0 }
      const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
      t.ok(width > 0 && outline !== 'none', `the focus is visible: ${stop}`)
    }
    t.same(stops, ['Not you?', 'remember', 'Deny', 'Allow'])
    await page.keyboard.press('Enter')
    t.match(await resultAt(page, app), { heading: 'Signed in' })
  },
)

browserTest(
  'the consent page shows the logo and the links of the client, and what an API permits in words',
  async (t, open) => {
    const { app, server, register } = await browserWorld(t)
    const body = pngImage(64, [30, 90, 200])
    const hash = createHash('sha256').update(body).digest('base64url')
    await server.store.clientLogos.put({ hash, contentType: 'image/png', body, createdAt: 1 })
    await server.store.apis.update(ORDERS, (api) => ({
      ...api,
      name: 'Orders',
      scopeTexts: { 'orders:read': 'see your orders' },
    }))
    const links = { clientUri: 'https://shop.example/', policyUri: 'https://shop.example/privacy' }
    await register({ logo: hash, logoUri: 'https://shop.example/logo.png', ...links })
    const page = await (await open()).tab()
    await page.goto(app.start())
    await signIn(t, page)
    await at(t, page, 'Allow The Shop to access your account?')
    t.equal(await page.evaluate("document.querySelector('.client-logo').naturalWidth"), 64)
    await page.getByText('see your orders').waitFor()
    await page.getByText('use Orders with these permissions').waitFor()
    t.equal(await page.getByRole('link', { name: 'Privacy policy' }).getAttribute('href'), links.policyUri)
    t.equal(await page.getByText('orders:read').count(), 0)
  },
)

browserTest(
  'no content overflows a narrow window or a page at 200 % zoom (WCAG 2.2, 1.4.10)',
  async (t, open) => {
    const { app, issuer } = await browserWorld(t)
    // 200 % of 1280 × 1024 is a window of 640 × 512.
    for (const viewport of [
      { width: 320, height: 640 },
      { width: 640, height: 512 },
    ]) {
      const page = await (await open({ viewport })).tab()
      const fits = async (name: string) => {
        const { wide, narrow } = await page.evaluate<{ wide: number; narrow: number }>(
          '({ wide: document.documentElement.scrollWidth, narrow: document.documentElement.clientWidth })',
        )
        t.equal(wide, narrow, `${name} at ${viewport.width} px`)
      }
      await page.goto(app.start({ prompt: 'consent' }))
      await at(t, page, 'Sign in')
      await fits('login')
      await typePassword(page)
      await at(t, page, 'Allow The Shop to access your account?')
      await fits('consent')
      await allow(t, page)
      await resultAt(page, app)
      for (const path of [
        'account',
        'account/password',
        'account/totp',
        'account/passkeys',
        'oauth2/logout',
      ]) {
        await page.goto(`${issuer}/${path}`)
        await at(t, page, /./)
        await fits(path)
      }
    }
  },
)

browserTest(
  'pages are in German if the browser or the application asks for it (OpenID Connect Core §3.1.2.1)',
  async (t, open) => {
    const { app, issuer } = await browserWorld(t)
    const german = await (await open({ locale: 'de-AT' })).tab()
    await german.goto(app.start())
    await at(t, german, 'Anmelden')
    t.equal(await german.locator('html').getAttribute('lang'), 'de')
    await german.getByLabel('Benutzername').fill('alice')
    await german.getByLabel('Passwort').fill(PASSWORD)
    await german.getByRole('button', { name: 'Anmelden', exact: true }).click()
    await at(t, german, 'Darf The Shop auf Ihr Konto zugreifen?')
    await german.getByRole('button', { name: 'Erlauben' }).click()
    t.match(await resultAt(german, app), { heading: 'Signed in' })
    await german.goto(`${issuer}/account`)
    await at(t, german, 'Ihr Konto')

    const asked = await (await open({ locale: 'en-GB' })).tab()
    await asked.goto(app.start({ ui_locales: 'fr de' }))
    await at(t, asked, 'Anmelden')
  },
)

browserTest('a logo without a size of its own is shown, and a large one is reduced', async (t, open) => {
  const svg = (attributes: string) =>
    `<svg xmlns="http://www.w3.org/2000/svg" ${attributes}><rect width="100%" height="100%"/></svg>`
  for (const [what, attributes, width, height] of [
    ['only a viewBox', 'viewBox="0 0 200 100"', 88, 44],
    ['a wide viewBox', 'viewBox="0 0 2000 100"', 224, 44],
    ['a size', 'width="400" height="400"', 44, 44],
  ] as const) {
    const BRAND_LOGO = join(t.testdir(), 'logo.svg')
    writeFileSync(BRAND_LOGO, svg(attributes))
    const { issuer } = await listen(t, { settings: { BRAND_LOGO } })
    const page = await (await open()).tab()
    await page.goto(`${issuer}/login`)
    const box = await page.locator('img.logo').boundingBox()
    t.same(
      [box?.width, box?.height].map((side) => Math.round(side ?? 0)),
      [width, height],
      what,
    )
    const fit = await page.evaluate<string>("getComputedStyle(document.querySelector('img.logo')).objectFit")
    t.equal(fit, 'scale-down', 'an image of another shape than its box is not distorted')
  }
})
