/**
 * The navigation from a form of the server to the app, and wherever the app redirects the browser then (CSP Level 3
 * §6.4.2).
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { browserTest } from '../support/browser/chromium.ts'
import { allow, at, browserWorld, resultAt, signIn } from '../support/browser/chromium-sign-in.ts'

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with' : 'without'
  browserTest(
    `an app may redirect on to a third site immediately, ${how} scripts (CSP form-action)`,
    async (t, open) => {
      const { app } = await browserWorld(t)
      const third = createServer((_, response) => response.end('the third site')).listen(0, '127.0.0.1')
      await once(third, 'listening')
      t.teardown(() => third.close())
      app.afterwards = `http://third.test:${(third.address() as AddressInfo).port}/home`
      const page = await (await open({ javaScriptEnabled })).tab()

      for (const response_mode of ['query', 'form_post']) {
        await page.goto(app.start({ response_mode, prompt: 'login consent' }))
        await signIn(t, page)
        await allow(t, page)
        if (response_mode === 'form_post' && !javaScriptEnabled) {
          await page.getByRole('button', { name: 'Continue' }).click()
        }
        await page.waitForURL(app.afterwards)
        t.match(await page.textContent('body'), 'the third site', response_mode)
      }
    },
  )
}

browserTest('an app on the IPv6 loopback address is reached on any port (RFC 8252 §7.3)', async (t, open) => {
  const { app, register } = await browserWorld(t, { host: 'http://[::1]' })
  await register({ redirectUris: ['http://[::1]/callback'] })
  const page = await (await open()).tab()
  await page.goto(app.start())
  await signIn(t, page)
  await allow(t, page)
  t.match(await resultAt(page, app), { heading: 'Signed in' })
})

browserTest(
  'an app with a custom URI scheme is opened with the authorization code (RFC 8252 §7.1)',
  async (t, open) => {
    const { app, register } = await browserWorld(t)
    const redirect_uri = 'com.example.app:/cb'
    await register({ redirectUris: [redirect_uri] })
    const page = await (await open()).tab()
    await page.goto(app.start({ redirect_uri }))
    await signIn(t, page)
    await at(t, page, 'Allow The Shop to access your account?')
    const opened = page.waitForEvent('request', (request) => request.url().startsWith(redirect_uri))
    await page.getByRole('button', { name: 'Allow' }).click()
    t.match((await opened).url(), /^com\.example\.app:\/cb\?code=[\w-]+&state=/)
  },
)

browserTest(
  'an injected form cannot send what the user types to another origin (CSP form-action)',
  async (t, open) => {
    const { app, issuer } = await browserWorld(t)
    const window = await open()
    const page = await window.tab()
    await page.goto(app.start())
    await at(t, page, 'Sign in')
    await page.evaluate(`{
    const form = document.querySelector('form')
    form.action = ${JSON.stringify(app.origin)} + '/stolen'
    form.querySelectorAll('input').forEach((input) => { input.value = 'x' })
  }`)
    window.expect(/error: Sending form data to .*stolen.*form-action 'self'/)
    const said = page.waitForEvent('console')
    await page.getByRole('button', { name: 'Sign in', exact: true }).click({ noWaitAfter: true })
    await said
    t.match(page.url(), issuer)
  },
)
