/** The console in a real browser, with and without scripts. */
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { ADMIN_ROLE } from '../../src/admin/built-ins.ts'
import { browserTest } from '../support/browser/chromium.ts'
import {
  allow,
  at,
  type BrowserWorld,
  browserWorld,
  resultAt,
  shortOfJavaScript,
  signIn,
} from '../support/browser/chromium-sign-in.ts'

/** alice administers. */
async function consoleWorld(t: Test): Promise<BrowserWorld> {
  const world = await browserWorld(t)
  const { server, alice } = world
  await server.store.users.update(alice.id, (one) => ({ ...one, roles: [...one.roles, ADMIN_ROLE] }))
  return world
}

async function enter(t: Test, page: Page, { issuer }: BrowserWorld, path: string): Promise<void> {
  await page.goto(`${issuer}/admin${path}`)
  await signIn(t, page)
}

for (const { how, ...options } of shortOfJavaScript) {
  browserTest(`an administrator creates, changes and deletes a role, ${how}`, async (t, open) => {
    const world = await consoleWorld(t)
    const window = await open(options)
    const page = await window.tab()
    await enter(t, page, world, '/roles')
    await at(t, page, 'Roles')
    await page.getByRole('link', { name: 'New role' }).click()
    await at(t, page, 'Create a role')
    window.expect(/status of 400/)
    await page.getByLabel('Name', { exact: true }).fill('two words')
    await page.getByLabel('Scopes', { exact: true }).fill('orders:read\norders:write')
    await page.getByRole('button', { name: 'Create' }).click()
    await page.getByText('a role name must be').first().waitFor()
    await at(t, page, 'Create a role')
    await page.getByLabel('Name', { exact: true }).fill('bookkeeper')
    await page.getByRole('button', { name: 'Create' }).click()
    await page.getByText('The role bookkeeper was created.').waitFor()
    await at(t, page, 'bookkeeper')
    await page.getByRole('link', { name: 'Change', exact: true }).click()
    await at(t, page, 'Change the role bookkeeper')
    await page.getByLabel('Users with this role must sign in with a second factor').check()
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('The role bookkeeper was changed.').waitFor()
    t.match(await world.server.store.roles.find('bookkeeper'), {
      scopes: ['orders:read', 'orders:write'],
      requireSecondFactor: true,
    })
    await page.getByRole('link', { name: 'Delete' }).click()
    await at(t, page, 'Delete the role bookkeeper?')
    await page.getByText('Its users lose the scopes that it grants.').waitFor()
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByText('The role bookkeeper was deleted.').waitFor()
    await at(t, page, 'Roles')
    await page.getByRole('searchbox').fill('nothing like this')
    await page.getByRole('button', { name: 'Search' }).click()
    await page.getByText('Nothing was found.').waitFor()
    await at(t, page, 'Roles')
  })

  browserTest(`a user without the role is told so, ${how}`, async (t, open) => {
    const world = await browserWorld(t)
    const window = await open(options)
    window.expect(/status of 403/)
    const page = await window.tab()
    await enter(t, page, world, '')
    await at(t, page, 'You are not an administrator')
  })
}

for (const { how, ...options } of shortOfJavaScript) {
  browserTest(
    `an administrator rotates and revokes keys, and looks at the audit log, ${how}`,
    async (t, open) => {
      const world = await consoleWorld(t)
      const { server } = world
      const window = await open(options)
      const page = await window.tab()
      await enter(t, page, world, '')
      await at(t, page, 'Overview')
      await page.getByRole('link', { name: 'Keys and verifiers' }).click()
      await at(t, page, 'Keys')
      const keys = async () => (await server.store.ring.read())?.keys ?? []
      const kidOf = async (wanted: string) => (await keys()).find(({ state }) => state === wanted)?.kid ?? ''
      await page.getByRole('link', { name: 'Rotate' }).click()
      await at(t, page, 'Rotate the keys?')
      await page.getByText('It is safe to rotate now').waitFor()
      await page.getByRole('button', { name: 'Rotate' }).click()
      await page.getByText('The keys were rotated').waitFor()
      await at(t, page, 'Keys')
      t.equal((await keys()).length, 3)
      await server.poll()
      await page.getByRole('link', { name: 'Rotate' }).click()
      await at(t, page, 'Rotate the keys?')
      await page.getByText('It is not safe to rotate before').waitFor()
      await page.getByRole('link', { name: 'Cancel' }).click()
      const [active, next] = [await kidOf('active'), await kidOf('next')]
      await page.getByRole('link', { name: `Revoke ${active.slice(0, 10)}…` }).click()
      await at(t, page, /Revoke the key/)
      await page.getByText('Verifiers with a cached JWKS may accept the revoked key').waitFor()
      await page.getByRole('button', { name: 'Revoke' }).click()
      await page.getByText('was revoked').waitFor()
      await at(t, page, 'Keys')
      t.equal(await kidOf('active'), next)
      await page.getByRole('link', { name: 'Audit log' }).click()
      await at(t, page, 'Audit log')
      await page.getByLabel('Event').selectOption('keys.revoked')
      await page.getByRole('button', { name: 'Filter' }).click()
      await page.getByText(active).first().waitFor()
      await page.getByRole('link', { name: 'Verify' }).click()
      await at(t, page, 'Verify the audit log')
      await page.getByRole('button', { name: 'Verify' }).click()
      await page.getByText('The log is intact.').waitFor()
      await at(t, page, 'Verify the audit log')
    },
  )
}

for (const { how, ...options } of shortOfJavaScript) {
  browserTest(
    `an administrator creates an API and a client, whose secret is shown once, ${how}`,
    async (t, open) => {
      const world = await consoleWorld(t)
      const window = await open(options)
      const page = await window.tab()
      await enter(t, page, world, '/apis')
      await at(t, page, 'APIs')
      await page.getByRole('link', { name: 'New API' }).click()
      await at(t, page, 'Create an API')
      await page.getByLabel('Identifier').fill('https://invoices.example')
      await page.getByLabel('Scopes', { exact: true }).fill('invoices:read')
      await page.getByRole('button', { name: 'Create' }).click()
      await page.getByText('The API https://invoices.example was created.').waitFor()
      await at(t, page, 'https://invoices.example')
      await page.getByRole('link', { name: 'Clients' }).click()
      await at(t, page, 'Clients')
      await page.getByRole('link', { name: 'New client' }).click()
      await at(t, page, 'Create a client')
      await page.getByLabel('Client id').fill('billing')
      await page.getByLabel('Name', { exact: true }).fill('Billing')
      await page.getByLabel('authorization_code').uncheck()
      await page.getByLabel('refresh_token').uncheck()
      await page.getByLabel('client_credentials').check()
      await page.getByLabel('Scopes', { exact: true }).fill('invoices:read')
      await page.getByRole('button', { name: 'Create' }).click()
      await page.getByText('This is shown only once.').waitFor()
      await at(t, page, 'The secret of the client')
      await page.getByRole('link', { name: 'To the client' }).click()
      await at(t, page, 'billing')
      await page.getByRole('link', { name: 'New secret' }).click()
      await at(t, page, 'Create a new secret for billing')
      await page.getByLabel('Overlap').selectOption('1 hour')
      await page.getByRole('button', { name: 'Create' }).click()
      await page.getByText('The client billing has a new secret.').waitFor()
      await page.getByRole('link', { name: 'To the client' }).click()
      await page.getByRole('link', { name: 'Disable' }).click()
      await at(t, page, 'Disable the client billing?')
      await page.getByRole('button', { name: 'Disable' }).click()
      await page.getByText('The client billing is disabled.').waitFor()
      await at(t, page, 'billing')
      await page.getByRole('button', { name: 'Enable' }).click()
      await page.getByText('The client billing is enabled.').waitFor()
      t.match(await world.server.store.clients.find('billing'), {
        grants: ['client_credentials'],
        scopes: ['invoices:read'],
        disabled: false,
      })
    },
  )
}

for (const { how, ...options } of shortOfJavaScript) {
  browserTest(`an administrator invites a user and ends sessions, ${how}`, async (t, open) => {
    const world = await consoleWorld(t)
    const window = await open(options)
    const page = await window.tab()
    await page.goto(world.app.start())
    await signIn(t, page)
    await allow(t, page)
    await resultAt(page, world.app)
    await page.goto(`${world.issuer}/admin/users`)
    await at(t, page, 'Users')
    await page.getByRole('link', { name: 'Invite a user' }).click()
    await at(t, page, 'Invite a user')
    await page.getByLabel('Username').fill('dora')
    await page.getByRole('button', { name: 'Invite' }).click()
    await page.getByText('The user dora was invited.').waitFor()
    await at(t, page, 'The link for the user')
    await page.getByRole('link', { name: 'To the user' }).click()
    await at(t, page, 'dora')
    await page.getByRole('link', { name: 'Delete' }).click()
    await at(t, page, 'Delete the user dora?')
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByText('The user dora was deleted.').waitFor()
    await page.getByRole('link', { name: 'Sessions' }).click()
    await at(t, page, 'Sessions')
    await page.getByLabel('User').fill('alice')
    await page.getByRole('button', { name: 'Filter' }).click()
    await page.getByRole('link', { name: 'End alice shop' }).click()
    await at(t, page, 'End the session?')
    await page.getByRole('button', { name: 'End' }).click()
    await page.getByText('has ended.').waitFor()
    await at(t, page, 'Sessions')
  })
}
