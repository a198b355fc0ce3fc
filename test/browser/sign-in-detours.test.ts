/** The detours that users take when they sign in, with a real browser. The flow tests prove the same without one. */

import { cookieNames } from '../../src/http/cookies.ts'
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
import { PASSWORD, user } from '../support/server/seed.ts'

const BAD_REQUEST = /status of 400 \(Bad Request\)/

for (const { how, ...options } of shortOfJavaScript) {
  browserTest(
    `denying consent returns the user to the app with access_denied, ${how} (RFC 6749 §4.1.2.1)`,
    async (t, open) => {
      const { app } = await browserWorld(t)
      const page = await (await open(options)).tab()
      await page.goto(app.start())
      await signIn(t, page)
      await at(t, page, 'Allow The Shop to access your account?')
      await page.getByRole('button', { name: 'Deny' }).click()
      t.match(await resultAt(page, app), { heading: 'Error', error: 'access_denied' })
    },
  )

  browserTest(`two tabs at the login page both reach their destinations, ${how}`, async (t, open) => {
    const { app } = await browserWorld(t)
    const window = await open(options)
    const [one, other] = [await window.tab(), await window.tab()]
    await one.goto(app.start())
    await other.goto(app.start())
    await signIn(t, one)
    await allow(t, one)
    t.match(await resultAt(one, app), { heading: 'Signed in' })

    await signIn(t, other)
    await allow(t, other)
    t.match(await resultAt(other, app), { heading: 'Signed in' })
  })

  browserTest(
    `with two users in two tabs, neither can consent in the name of the other, ${how}`,
    async (t, open) => {
      const { app, server } = await browserWorld(t)
      await server.store.users.insert(await user({ username: 'bob' }))
      const window = await open(options)
      const [one, other] = [await window.tab(), await window.tab()]
      await one.goto(app.start())
      await signIn(t, one)
      await at(t, one, 'Allow The Shop to access your account?')
      await other.goto(app.start({ prompt: 'login' }))
      await other.getByRole('link', { name: 'Use another account' }).click()
      await at(t, other, 'Sign in')
      await typePassword(other, PASSWORD, 'bob')
      await at(t, other, 'Allow The Shop to access your account?')

      window.expect(/status of 403/)
      await one.getByRole('button', { name: 'Allow' }).click()
      await at(t, one, 'This form could not be verified')
      await allow(t, other)
      t.match(await resultAt(other, app), { heading: 'Signed in', user: { preferred_username: 'bob' } })
    },
  )

  browserTest(
    `a signed-in user whom login_hint does not name continues, or signs in as the named user, ${how}`,
    async (t, open) => {
      const { app, server } = await browserWorld(t)
      await server.store.users.insert(await user({ username: 'bob' }))
      const page = await (await open(options)).tab()
      await page.goto(app.start())
      await signIn(t, page)
      await allow(t, page)
      await resultAt(page, app)
      await page.goto(app.start({ login_hint: 'bob' }))
      await at(t, page, 'Which account?')
      await page.getByRole('button', { name: 'Continue as alice' }).click()
      await allow(t, page)
      t.match(await resultAt(page, app), { user: { preferred_username: 'alice' } })
      await page.goto(app.start({ login_hint: 'bob' }))
      await page.getByRole('link', { name: 'Sign in as bob' }).click()
      await at(t, page, 'Sign in')
      t.equal(await page.getByLabel('Username').inputValue(), 'bob')
      await typePassword(page, PASSWORD, 'bob')
      await allow(t, page)
      t.match(await resultAt(page, app), { user: { preferred_username: 'bob' } })
    },
  )

  browserTest(`remembered consent is not asked for again until it is revoked, ${how}`, async (t, open) => {
    const { app, issuer } = await browserWorld(t)
    const page = await (await open(options)).tab()
    await page.goto(app.start())
    await signIn(t, page)
    await page.getByLabel('Don’t ask me again').check()
    await allow(t, page)
    await resultAt(page, app)
    await page.goto(app.start())
    t.match(await resultAt(page, app), { heading: 'Signed in' })

    await page.goto(`${issuer}/account`)
    await at(t, page, 'Your account')
    await page.getByRole('button', { name: /^Ask me again/ }).click()
    await page.getByText('That app will ask for your permission again.').waitFor()
    await at(t, page, 'Your account')
    await page.goto(app.start())
    await allow(t, page)
    t.match(await resultAt(page, app), { heading: 'Signed in' })
  })

  browserTest(`cancelling a sign-in leads back to the app, ${how}`, async (t, open) => {
    const { app } = await browserWorld(t)
    const page = await (await open(options)).tab()
    await page.goto(app.start())
    await at(t, page, 'Sign in')
    await page.getByRole('button', { name: 'Cancel and return to The Shop' }).click()
    t.match(await resultAt(page, app), { heading: 'Error', error: 'access_denied' })
  })

  browserTest(`a login page left open for too long says that it has expired, ${how}`, async (t, open) => {
    const { app, issuer, server } = await browserWorld(t)
    const window = await open(options)
    const page = await window.tab()
    await page.goto(app.start())
    await at(t, page, 'Sign in')
    server.clock.tick(3601)
    window.expect(BAD_REQUEST)
    await typePassword(page)
    await at(t, page, 'This page has expired')
    t.notOk((await window.cookies())[cookieNames(issuer).session])
  })

  browserTest(
    `prompt=none shows no page and returns an error or a code, ${how} (OpenID Connect Core §3.1.2.6)`,
    async (t, open) => {
      const { app, register } = await browserWorld(t)
      await register({ firstParty: true })
      const page = await (await open(options)).tab()
      await page.goto(app.start({ prompt: 'none' }))
      t.match(await resultAt(page, app), { heading: 'Error', error: 'login_required' })
      await page.goto(app.start())
      await signIn(t, page)
      await resultAt(page, app)
      await page.goto(app.start({ prompt: 'none' }))
      t.match(await resultAt(page, app), { heading: 'Signed in' })

      await register({ firstParty: false })
      await page.goto(app.start({ prompt: 'none' }))
      t.match(await resultAt(page, app), { heading: 'Error', error: 'consent_required' })
    },
  )

  browserTest(
    `max_age asks for the password again when the sign-in is too old, ${how} (OpenID Connect Core §3.1.2.1)`,
    async (t, open) => {
      const { app, register, server } = await browserWorld(t)
      await register({ firstParty: true })
      const page = await (await open(options)).tab()
      await page.goto(app.start())
      await signIn(t, page)
      const before = await resultAt(page, app)
      server.clock.tick(300)
      await page.goto(app.start({ max_age: '600' }))
      t.match(await resultAt(page, app), {
        heading: 'Signed in',
        claims: { auth_time: before.claims?.auth_time },
      })

      await page.goto(app.start({ max_age: '60' }))
      await at(t, page, 'Sign in')
      await page.getByText('Signed in as alice.').waitFor()
      await typePassword(page)
      t.match(await resultAt(page, app), { heading: 'Signed in', claims: { auth_time: server.clock.now() } })
    },
  )
}
