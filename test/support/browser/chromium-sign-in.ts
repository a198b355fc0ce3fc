/** Keyturn on http://localhost, an app that users sign in to, and what they do in their browsers. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import axe from 'axe-core'
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import type { Client } from '../../../src/store/contracts/clients.ts'
import type { User } from '../../../src/store/contracts/users.ts'
import { seededFolder } from '../processes/data-folder.ts'
import { freePort } from '../server/free-port.ts'
import { listen } from '../server/listen.ts'
import { client, PASSWORD } from '../server/seed.ts'
import type { TestServer } from '../server/server.ts'
import { type ClientApp, clientApp } from './client-app.ts'

/** axe cannot run where scripts are switched off; the pages are the same. */
const SCRIPTS_RUN = `{
  const probe = document.createElement('div')
  probe.innerHTML = '<noscript><i></i></noscript>'
  probe.firstChild.firstElementChild === null
}`

/** Pages already checked in this file, ignoring values that are new each time. */
const known = new Set<string>()

/** Serious and critical findings, as `rule: element`. */
async function axeFindings(page: Page): Promise<string[]> {
  if (!(await page.evaluate(SCRIPTS_RUN))) return []
  const html = (await page.content()).replace(/(value|href|data-options|action)="[^"]*"/g, '')
  const scheme = await page.evaluate('matchMedia("(prefers-color-scheme: dark)").matches')
  const hash = createHash('sha256')
    .update(`${scheme} ${JSON.stringify(page.viewportSize())} ${html}`)
    .digest('base64')
  if (known.has(hash)) return []
  known.add(hash)
  await page.evaluate(axe.source)
  // No preload: it fetches the style sheet by script, which the page's policy forbids.
  const found = await page.evaluate<{
    violations: { id: string; impact: string; nodes: { html: string }[] }[]
  }>("axe.run(document, { preload: false, resultTypes: ['violations'] })")
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
}

export interface BrowserWorld {
  readonly server: TestServer
  readonly issuer: string
  readonly alice: User
  readonly app: ClientApp
  /** The same app with another registration. */
  register(overrides: Partial<Client>): Promise<void>
}

export async function browserWorld(t: Test, options: { host?: string } = {}): Promise<BrowserWorld> {
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  // Generating keys takes longer than most of the tests.
  const { database, masterKey } = await seededFolder(t)
  const { server } = await listen(
    t,
    { database, masterKey: readFileSync(masterKey, 'utf8').trim(), settings: { ISSUER: issuer } },
    port,
  )
  t.teardown(() => {
    for (const { level, fields } of server.logger.lines)
      if (level === 'error') process.stderr.write(`${fields.err}\n`)
  })
  const alice = await server.store.users.findByUsername('alice')
  if (!alice) throw new Error('the folder is not seeded')
  await server.store.users.update(alice.id, (one) => ({
    ...one,
    name: 'Alice Able',
    email: 'alice@example.test',
    emailVerified: true,
    updatedAt: server.clock.now(),
  }))
  const app = await clientApp(t, {
    issuer,
    clientId: 'shop',
    skew: () => server.clock.now() - Math.floor(Date.now() / 1000),
    ...options,
  })
  const register = async (overrides: Partial<Client>) => {
    const shop = client({
      id: 'shop',
      name: 'The Shop',
      grants: ['authorization_code', 'refresh_token'],
      scopes: ['openid', 'profile', 'email', 'offline_access', 'orders:read'],
      redirectUris: [app.redirectUri],
      postLogoutRedirectUris: [app.signedOutUri],
      ...overrides,
    })
    if (!(await server.store.clients.insert(shop))) await server.store.clients.update(shop.id, () => shop)
    await server.poll()
  }
  await register({})
  return { server, issuer, alice, app, register }
}

/** Everything except passkeys works without scripts. */
export const shortOfJavaScript = [
  { how: 'with scripts' },
  { how: 'without scripts', javaScriptEnabled: false },
]

/** Checks that the page with this heading is shown and axe finds nothing serious on it. */
export async function at(t: Test, page: Page, heading: string | RegExp): Promise<void> {
  await page.getByRole('heading', { level: 1, name: heading }).waitFor()
  t.same(await axeFindings(page), [], `axe: ${heading}`)
}

export async function typePassword(page: Page, password = PASSWORD, username = 'alice'): Promise<void> {
  const name = page.getByLabel('Username')
  if (await name.isVisible()) await name.fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}

export async function signIn(t: Test, page: Page, password?: string): Promise<void> {
  await at(t, page, 'Sign in')
  await typePassword(page, password)
}

export async function allow(t: Test, page: Page): Promise<void> {
  await at(t, page, 'Allow The Shop to access your account?')
  await page.getByRole('button', { name: 'Allow' }).click()
}

export interface Result {
  readonly heading: string
  readonly method?: string
  readonly scope?: string
  readonly error?: string
  readonly claims?: Readonly<Record<string, unknown>>
  readonly user?: Readonly<Record<string, unknown>>
}

/** What the app shows in the end. */
export async function resultAt(page: Page, app: Pick<ClientApp, 'origin'>): Promise<Result> {
  await page.waitForURL((url) => url.origin === app.origin)
  const heading = (await page.locator('h1').textContent()) ?? ''
  return { heading, ...JSON.parse((await page.locator('pre').textContent()) ?? '{}') }
}
