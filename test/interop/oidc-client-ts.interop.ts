/**
 * oidc-client-ts in a real browser. README, "Documentation": authts.github.io/oidc-client-ts, "UserManager", whose
 * required settings are `authority`, `client_id` and `redirect_uri`.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import t from 'tap'
import { browserTest } from '../support/browser/chromium.ts'
import { typePassword } from '../support/browser/chromium-sign-in.ts'
import { listenAt } from './application.ts'
import { ALICE, applicationOrigin, SCOPE, startKeyturn } from './keyturn.ts'

const keyturn = await startKeyturn(t)
const APP = await applicationOrigin()
const { id } = await keyturn.register(`${APP}/callback`, '--auth none')
const script = readFileSync(
  fileURLToPath(new URL('../browser/oidc-client-ts.min.js', import.meta.resolve('oidc-client-ts'))),
)
const settings = {
  authority: keyturn.issuer,
  client_id: id,
  redirect_uri: `${APP}/callback`,
  post_logout_redirect_uri: `${APP}/`,
  scope: SCOPE,
}
const page = `<!DOCTYPE html><title>Shop</title><link rel="icon" href="data:,"><pre></pre>
<script src="/oidc-client-ts.min.js"></script><script>
const users = new oidc.UserManager(${JSON.stringify(settings)})
const show = (value) => { document.querySelector('pre').textContent = JSON.stringify(value) }
if (location.pathname === '/callback') {
  users.signinCallback().then(({ profile }) => show(profile), ({ message }) => show({ message }))
}
</script>`
await listenAt(t, APP, (request, response) => {
  const isScript = request.url === '/oidc-client-ts.min.js'
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html').end(isScript ? script : page)
})

/** What the application shows after a sign-in. */
async function signedIn(tab: Page): Promise<unknown> {
  await tab.goto(APP)
  await tab.evaluate('void users.signinRedirect()')
  await tab.getByLabel('Username').waitFor()
  await typePassword(tab)
  await tab.getByRole('button', { name: 'Allow' }).click()
  await tab.locator('pre', { hasText: /./ }).waitFor()
  return JSON.parse((await tab.locator('pre').textContent()) ?? '')
}

browserTest('oidc-client-ts: sign-in, name and email, refresh, revocation, logout', async (t, open) => {
  const tab = await (await open()).tab()
  t.match(await signedIn(tab), ALICE, 'the profile that the library keeps')

  const before = await tab.evaluate('users.getUser().then((user) => user.refresh_token)')
  const renewed = 'users.signinSilent().then((user) => [user.profile.name, user.refresh_token])'
  const [name, after] = await tab.evaluate<string[]>(renewed)
  t.equal(name, ALICE.name, 'a refresh')
  t.not(after, before)

  await tab.evaluate('void users.signoutRedirect()')
  await tab.waitForURL(`${APP}/`)
  t.equal(await tab.evaluate('users.getUser()'), null)
})

browserTest('oidc-client-ts revokes its tokens', async (t, open) => {
  const tab = await (await open()).tab()
  await signedIn(tab)
  await tab.evaluate('users.revokeTokens()')
  t.equal(await tab.evaluate('users.getUser().then((user) => user.refresh_token ?? null)'), null)
})
