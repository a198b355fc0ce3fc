/** Signing in with a real browser: the main way. */
import { browserTest } from '../support/browser/chromium.ts'
import {
  allow,
  at,
  browserWorld,
  resultAt,
  shortOfJavaScript,
  signIn,
  typePassword,
} from '../support/browser/chromium-sign-in.ts'

const BAD_REQUEST = /status of 400 \(Bad Request\)/

for (const { how, ...options } of shortOfJavaScript) {
  browserTest(`a user signs in, allows the app and returns to it with tokens, ${how}`, async (t, open) => {
    const { app } = await browserWorld(t)
    const page = await (await open(options)).tab()
    await page.goto(app.start())
    await signIn(t, page)
    await allow(t, page)
    t.match(await resultAt(page, app), {
      heading: 'Signed in',
      method: 'GET',
      scope: 'openid profile email offline_access orders:read',
      claims: { amr: ['pwd'] },
      user: { preferred_username: 'alice', name: 'Alice Able', email: 'alice@example.test' },
    })
  })

  browserTest(
    `a wrong password shows an error, keeps the username and can be retried, ${how}`,
    async (t, open) => {
      const { app } = await browserWorld(t)
      const window = await open(options)
      const page = await window.tab()
      await page.goto(app.start())
      window.expect(BAD_REQUEST)
      await signIn(t, page, 'not the password')
      await page.getByRole('alert').getByText('The username or password is incorrect.').waitFor()
      await at(t, page, 'Sign in')
      t.match(await page.title(), /^Error: /)
      t.equal(await page.getByLabel('Username').inputValue(), 'alice')
      t.equal(await page.getByLabel('Password').inputValue(), '', 'the page does not contain the password')
      // WCAG 2.2, 3.3.1: a screen reader announces which field is wrong, and why.
      const focused = page.locator(':focus')
      t.match(
        [await focused.getAttribute('name'), await focused.getAttribute('aria-describedby')],
        ['password', 'problem'],
      )
      await typePassword(page)
      await allow(t, page)
      t.match(await resultAt(page, app), { heading: 'Signed in' })
    },
  )

  browserTest(`the back button never leads to a broken page, ${how}`, async (t, open) => {
    const { app } = await browserWorld(t)
    const page = await (await open(options)).tab()
    await page.goto(app.start())
    await signIn(t, page)
    await at(t, page, 'Allow The Shop to access your account?')
    await page.goBack()
    // Back past the login: a signed-in user does not see the page again.
    await allow(t, page)
    t.match(await resultAt(page, app), { heading: 'Signed in' })

    await page.goBack()
    await allow(t, page)
    t.match(
      await resultAt(page, app),
      { heading: 'Error', error: 'unknown state' },
      'the response was already delivered to the app',
    )
    await page.goto(app.start())
    await allow(t, page)
    t.match(await resultAt(page, app), { heading: 'Signed in' })
  })

  browserTest(
    `form_post delivers the authorization response, ${how} (OAuth 2.0 Form Post Response Mode)`,
    async (t, open) => {
      const { app } = await browserWorld(t)
      const page = await (await open(options)).tab()
      await page.goto(app.start({ response_mode: 'form_post' }))
      await signIn(t, page)
      await allow(t, page)
      if (options.javaScriptEnabled === false) {
        await at(t, page, 'Taking you back to The Shop')
        await page.getByRole('button', { name: 'Continue' }).click()
      }
      t.match(await resultAt(page, app), { heading: 'Signed in', method: 'POST' })
    },
  )
}
