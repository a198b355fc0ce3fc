/** The account page and the ways to sign out. */

import { cookieNames } from '../../src/http/cookies.ts'
import { browserTest } from '../support/browser/chromium.ts'
import { at, browserWorld, resultAt, shortOfJavaScript, signIn } from '../support/browser/chromium-sign-in.ts'
import { PASSWORD } from '../support/server/seed.ts'

for (const { how, ...options } of shortOfJavaScript) {
  browserTest(
    `changing the password keeps this browser signed in and signs out all others, ${how}`,
    async (t, open) => {
      const { app, issuer, register } = await browserWorld(t)
      await register({ firstParty: true })
      const [here, there] = [await open(options), await open(options)]
      const other = await there.tab()
      await other.goto(app.start())
      await signIn(t, other)
      await resultAt(other, app)
      const page = await here.tab()
      await page.goto(`${issuer}/account`)
      await signIn(t, page)
      await at(t, page, 'Your account')
      await page.getByRole('link', { name: 'Change password' }).click()
      await at(t, page, 'Change password')

      const change = async (current: string, next: string, repeat = next) => {
        await page.getByLabel('Current password').fill(current)
        await page.getByLabel('New password', { exact: true }).fill(next)
        await page.getByLabel('Repeat new password').fill(repeat)
        await page.getByRole('button', { name: 'Change password' }).click()
      }
      here.expect(/status of 400/)
      await change('not this one', 'a new password for alice')
      await page.getByRole('alert').getByText('The current password is incorrect.').waitFor()
      t.equal(await page.locator(':focus').getAttribute('name'), 'current_password')
      await at(t, page, 'Change password')
      await change(PASSWORD, 'a new password for alice', 'another one')
      await page.getByRole('alert').getByText('The new passwords do not match.').waitFor()
      await at(t, page, 'Change password')
      await change(PASSWORD, 'a new password for alice')
      await page.getByText('Your password has been changed.').waitFor()
      await at(t, page, 'Your account')

      await page.reload()
      await at(t, page, 'Your account')
      await other.goto(app.start({ prompt: 'none' }))
      t.match(await resultAt(other, app), { error: 'login_required' })
      await other.goto(app.start())
      await signIn(t, other, 'a new password for alice')
      t.match(await resultAt(other, app), { heading: 'Signed in' })
    },
  )

  browserTest(
    `signing out everywhere ends this browser, the other browsers and every app’s access, ${how}`,
    async (t, open) => {
      const { app, issuer, register, server, alice } = await browserWorld(t)
      await register({ firstParty: true })
      const [here, there] = [await open(options), await open(options)]
      const [page, other] = [await here.tab(), await there.tab()]
      for (const tab of [page, other]) {
        await tab.goto(app.start())
        await signIn(t, tab)
        await resultAt(tab, app)
      }
      const living = async () =>
        (await server.store.clientSessions.list({ userId: alice.id }, 10)).filter(
          ({ revokedAt }) => revokedAt === null,
        )
      t.equal((await living()).length, 2)
      await page.goto(`${issuer}/account`)
      await at(t, page, 'Your account')
      await page.getByRole('button', { name: 'Sign out everywhere' }).click()
      await at(t, page, 'You are signed out')

      t.notOk((await here.cookies())[cookieNames(issuer).session], 'the cookie is deleted')
      t.equal((await living()).length, 0)
      for (const tab of [page, other]) {
        await tab.goto(app.start({ prompt: 'none' }))
        t.match(await resultAt(tab, app), { error: 'login_required' })
      }
      await page.goto(`${issuer}/account`)
      await at(t, page, 'Sign in')
      await page.goBack()
      t.notMatch(await page.content(), 'Sign out everywhere', 'the back button shows nothing')
    },
  )

  browserTest(
    `an app can sign the user out and receives the browser back, ${how} (RP-Initiated Logout)`,
    async (t, open) => {
      const { app, issuer, register } = await browserWorld(t)
      await register({ firstParty: true })
      const window = await open(options)
      const page = await window.tab()
      await page.goto(app.start())
      await signIn(t, page)
      await resultAt(page, app)
      await page.goto(app.signOut)
      t.match(await resultAt(page, app), { heading: 'Bye', state: 'bye' })
      t.notOk((await window.cookies())[cookieNames(issuer).session])

      // Without a client that identifies itself, the user must confirm.
      await page.goto(`${issuer}/account`)
      await signIn(t, page)
      await at(t, page, 'Your account')
      await page.goto(`${issuer}/oauth2/logout`)
      await at(t, page, 'Sign out of Keyturn?')
      await page.getByRole('button', { name: 'Stay signed in' }).click()
      t.ok((await window.cookies())[cookieNames(issuer).session])
      await page.goto(`${issuer}/oauth2/logout`)
      await at(t, page, 'Sign out of Keyturn?')
      await page.getByRole('button', { name: 'Sign out' }).click()
      await at(t, page, 'You are signed out')
      t.notOk((await window.cookies())[cookieNames(issuer).session])
    },
  )
}

browserTest(
  'times are in the user’s time zone, and without scripts in UTC, which they say',
  async (t, open) => {
    for (const javaScriptEnabled of [true, false]) {
      const { issuer, server } = await browserWorld(t)
      const window = await open({ timezoneId: 'Asia/Kathmandu', javaScriptEnabled })
      const page = await window.tab()
      await page.goto(`${issuer}/account`)
      await signIn(t, page)
      await at(t, page, 'Your account')
      const shown = await page.locator('time').first().textContent()
      const format = (timeZone: string) =>
        new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone }).format(
          server.clock.now() * 1000,
        )
      const local = format('Asia/Kathmandu')
      t.match(shown, javaScriptEnabled ? new RegExp(`${local}$`) : new RegExp(`${format('UTC')} UTC$`))
    }
  },
)
