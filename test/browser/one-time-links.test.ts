/** One-time links in a real browser, with and without scripts. */
import { createOneTimeLink } from '../../src/accounts/one-time-links.ts'
import { browserTest } from '../support/browser/chromium.ts'
import { at, browserWorld, shortOfJavaScript } from '../support/browser/chromium-sign-in.ts'
import { user } from '../support/server/seed.ts'

const NEW_PASSWORD = 'a few words in a row'

for (const { how, ...options } of shortOfJavaScript) {
  browserTest(`an invited user sets a password and signs in, ${how}`, async (t, open) => {
    const { server } = await browserWorld(t)
    const ivy = await user({ username: 'ivy', passwordHash: null, roles: [] })
    await server.store.users.insert(ivy)
    const { link } = await createOneTimeLink(server.deps.base, ivy, 'invite', 'operator:tester')
    const here = await open(options)
    const page = await here.tab()
    await page.goto(link)
    await at(t, page, 'Welcome')
    const choose = async (password: string, repeat = password) => {
      await page.getByLabel('New password', { exact: true }).fill(password)
      await page.getByLabel('Repeat new password').fill(repeat)
      await page.getByRole('button', { name: 'Set password' }).click()
    }
    here.expect(/status of 400/)
    await choose(NEW_PASSWORD, 'another one')
    await page.getByRole('alert').getByText('The new passwords do not match.').waitFor()
    t.equal(await page.locator(':focus').getAttribute('name'), 'new_password')
    await choose(NEW_PASSWORD)
    await at(t, page, 'Your password is set.')
    await page.getByRole('link', { name: 'Sign in' }).click()
    await at(t, page, 'Sign in')
    await page.getByLabel('Username').fill('ivy')
    await page.getByLabel('Password').fill(NEW_PASSWORD)
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await at(t, page, 'Your account')
    here.expect(/status of 400/)
    await page.goto(link)
    await at(t, page, 'This link cannot be used')
  })
}
