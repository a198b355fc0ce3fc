/** The console of a test server, and an administrator in a browser without scripts. */
import type { Test } from 'tap'
import { ADMIN_ROLE } from '../../../src/admin/built-ins.ts'
import { PASSWORD, seed, user } from '../server/seed.ts'
import { type TestServer, testServer } from '../server/server.ts'
import { openBrowser } from './browser.ts'

/** At this issuer no second factor is needed. */
export const LOOPBACK = 'http://localhost:3000'

/** `root` administers, alice does not. */
export async function consoleServer(t: Test, settings: Record<string, string> = { ISSUER: LOOPBACK }) {
  const server = await testServer({ settings })
  t.teardown(() => server.close())
  await seed(server.store)
  await server.store.users.insert(await user({ username: 'root', roles: [ADMIN_ROLE] }))
  await server.poll()
  return server
}

export async function enter(server: TestServer, path = '/admin', username = 'root') {
  const browser = openBrowser(server)
  const login = await browser.open(path)
  const page = await browser.submit(login, { form: '/login', fill: { username, password: PASSWORD } })
  return { browser, page }
}
