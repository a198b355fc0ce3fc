/** Second factors: setting them up on the account page and using them to sign in. */
import { TOTP } from 'otpauth'
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { cookieNames } from '../../src/http/cookies.ts'
import { browserTest } from '../support/browser/chromium.ts'
import {
  at,
  type BrowserWorld,
  browserWorld,
  resultAt,
  shortOfJavaScript,
  signIn,
} from '../support/browser/chromium-sign-in.ts'

/** The authenticator app on the phone, on the server’s clock. */
function phone(secret: string, { server }: Pick<BrowserWorld, 'server'>) {
  const totp = new TOTP({ secret: secret.replace(/\s/g, '') })
  return () => totp.generate({ timestamp: server.clock.now() * 1000 })
}

async function enrolTotp(t: Test, page: Page, world: BrowserWorld) {
  await page.getByRole('link', { name: /^Set up/ }).click()
  await at(t, page, 'Set up an authenticator app')
  const code = phone((await page.locator('.secret').textContent()) ?? '', world)
  await page.getByLabel('Code from the app').fill(code())
  await page.getByRole('button', { name: 'Turn on' }).click()
  await at(t, page, 'Your recovery codes')
  const recoveryCodes = await page.locator('.codes li').allTextContents()
  await page.getByRole('link', { name: 'I have saved them' }).click()
  await at(t, page, 'Your account')
  return { code, recoveryCodes }
}

for (const { how, ...options } of shortOfJavaScript) {
  browserTest(
    `once an authenticator app is set up, every later sign-in asks for its code, ${how}`,
    async (t, open) => {
      const world = await browserWorld(t)
      const { app, issuer, register, server } = world
      await register({ firstParty: true })
      const page = await (await open(options)).tab()
      await page.goto(`${issuer}/account`)
      await signIn(t, page)
      await at(t, page, 'Your account')
      const { code, recoveryCodes } = await enrolTotp(t, page, world)
      t.ok(recoveryCodes.length >= 8, `${recoveryCodes.length} recovery codes`)

      server.clock.tick(60)
      const window = await open(options)
      const elsewhere = await window.tab()
      await elsewhere.goto(app.start())
      await signIn(t, elsewhere)
      await at(t, elsewhere, 'Confirm it’s you')
      t.notOk((await window.cookies())[cookieNames(issuer).session], 'the password alone does not sign in')
      window.expect(/status of 400/)
      await elsewhere.getByLabel('Code from your authenticator app').fill('000000')
      await elsewhere.getByRole('button', { name: 'Confirm', exact: true }).click()
      await elsewhere.getByRole('alert').getByText('That code is incorrect').waitFor()
      await at(t, elsewhere, 'Confirm it’s you')
      t.equal(await elsewhere.locator(':focus').getAttribute('name'), 'code')
      await elsewhere.getByLabel('Code from your authenticator app').fill(code())
      await elsewhere.getByRole('button', { name: 'Confirm', exact: true }).click()
      const { claims } = await resultAt(elsewhere, app)
      t.same(claims?.amr, ['mfa', 'otp', 'pwd'])
    },
  )

  browserTest(`a recovery code replaces a lost phone once, ${how}`, async (t, open) => {
    const world = await browserWorld(t)
    const { app, issuer, register } = world
    await register({ firstParty: true })
    const page = await (await open(options)).tab()
    await page.goto(`${issuer}/account`)
    await signIn(t, page)
    const { recoveryCodes } = await enrolTotp(t, page, world)

    for (const again of [false, true]) {
      const window = await open(options)
      const elsewhere = await window.tab()
      await elsewhere.goto(app.start())
      await signIn(t, elsewhere)
      await at(t, elsewhere, 'Confirm it’s you')
      window.expect(/status of 400/)
      await elsewhere.getByLabel('Code from your authenticator app').fill('000000')
      const confirm = elsewhere.getByRole('button', { name: 'Confirm', exact: true })
      await confirm.click()
      await elsewhere.getByRole('alert').getByText('That code is incorrect').waitFor()
      await elsewhere.getByText('Use a recovery code instead').click()
      t.equal(await elsewhere.getByRole('alert').count(), 0, 'the error about the other code is gone')
      t.equal(await confirm.count(), 1, 'and there is one form')
      t.equal(await elsewhere.locator('summary').innerText(), 'Use another way instead')
      await elsewhere.getByText('Use another way instead').click()
      t.ok(await elsewhere.getByLabel('Code from your authenticator app').isVisible(), 'and back')
      t.equal(await elsewhere.locator('summary').innerText(), 'Use a recovery code instead')
      await elsewhere.getByText('Use a recovery code instead').click()
      await elsewhere.getByLabel('Recovery code', { exact: true }).fill(recoveryCodes[0] ?? '')
      await confirm.click()
      if (again) {
        await elsewhere.getByRole('alert').getByText('That recovery code is incorrect').waitFor()
        await at(t, elsewhere, 'Confirm it’s you')
        t.equal(await elsewhere.locator(':focus').getAttribute('name'), 'recovery_code')
      } else {
        t.match(await resultAt(elsewhere, app), { heading: 'Signed in' })
      }
    }
  })

  browserTest(
    `an app that requires a second factor makes the user set one up during sign-in, ${how}`,
    async (t, open) => {
      const world = await browserWorld(t)
      const { app, register } = world
      await register({ firstParty: true, requireSecondFactor: true })
      const page = await (await open(options)).tab()
      await page.goto(app.start())
      await signIn(t, page)
      await at(t, page, /^Set up two.step verification$/)
      await page.getByRole('link', { name: /Authenticator app/ }).click()
      await at(t, page, 'Set up an authenticator app')
      const code = phone((await page.locator('.secret').textContent()) ?? '', world)
      await page.getByLabel('Code from the app').fill(code())
      await page.getByRole('button', { name: 'Turn on' }).click()
      await at(t, page, 'Your recovery codes')
      await page.getByRole('link', { name: 'I have saved them' }).click()
      const { claims } = await resultAt(page, app)
      t.same(claims?.amr, ['mfa', 'otp', 'pwd'])
    },
  )
}

/** A device with a fingerprint reader, as Chromium’s own tests simulate one. */
async function authenticator(page: Page) {
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('WebAuthn.enable')
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
  return {
    /** The user does not confirm until told to. */
    present: (enabled: boolean) =>
      devtools.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled }),
    verified: (isUserVerified: boolean) =>
      devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }),
    async credentials() {
      return (await devtools.send('WebAuthn.getCredentials', { authenticatorId })).credentials
    },
  }
}

browserTest(
  'a passkey can be added and used as a second factor or as the only factor (WebAuthn Level 3)',
  async (t, open) => {
    const { app, issuer, register } = await browserWorld(t)
    await register({ firstParty: true })
    const window = await open()
    const page = await window.tab()
    const device = await authenticator(page)
    await device.present(false)
    await page.goto(`${issuer}/account`)
    await signIn(t, page)
    await at(t, page, 'Your account')
    await page.getByRole('link', { name: 'Add a passkey' }).click()
    await at(t, page, 'Add a passkey')
    await page.getByLabel('Name for this passkey').fill('Laptop <b>')
    await device.present(true)
    await page.getByRole('button', { name: 'Create passkey' }).click()
    await at(t, page, 'Your recovery codes')
    await page.getByRole('link', { name: 'I have saved them' }).click()
    await at(t, page, 'Your account')
    await page.getByText('Laptop <b>', { exact: true }).waitFor()
    t.match(await device.credentials(), [{ isResidentCredential: true, rpId: 'localhost' }])

    // As the second step, after the password.
    await device.present(false)
    await window.context.clearCookies()
    await page.goto(app.start())
    await signIn(t, page)
    await at(t, page, 'Confirm it’s you')
    await device.present(true)
    await page.getByRole('button', { name: 'Use a passkey' }).click()
    t.same((await resultAt(page, app)).claims?.amr, ['hwk', 'mfa', 'pwd', 'user'])

    // Alone, without a username.
    await device.present(false)
    await window.context.clearCookies()
    await page.goto(app.start())
    await at(t, page, 'Sign in')
    await device.present(true)
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click()
    const { claims, user } = await resultAt(page, app)
    t.match(user, { preferred_username: 'alice' })
    t.same(claims?.amr, ['hwk', 'mfa', 'user'], 'without a password')
  },
)

browserTest(
  'a passkey without user verification does not sign the user in, and the page says why',
  async (t, open) => {
    const { app, issuer, register } = await browserWorld(t)
    await register({ firstParty: true })
    const window = await open()
    const page = await window.tab()
    const device = await authenticator(page)
    await page.goto(`${issuer}/account`)
    await device.present(false)
    await signIn(t, page)
    await page.getByRole('link', { name: 'Add a passkey' }).click()
    await page.getByLabel('Name for this passkey').fill('Laptop')
    await device.present(true)
    await page.getByRole('button', { name: 'Create passkey' }).click()
    await at(t, page, 'Your recovery codes')
    await window.context.clearCookies()

    await device.verified(false)
    await device.present(false)
    await page.goto(app.start())
    await at(t, page, 'Sign in')
    await device.present(true)
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click()
    await page.getByRole('alert').getByText('The passkey request was cancelled or timed out.').waitFor()
    await at(t, page, 'Sign in')
    t.notOk((await window.cookies())[cookieNames(issuer).session])
  },
)
