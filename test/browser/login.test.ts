/** `keyturn login` as a person runs it: a process, its server, and a real browser that the process opens. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ADMIN_ROLE } from '../../src/admin/built-ins.ts'
import { browserTest } from '../support/browser/chromium.ts'
import { at, browserWorld, signIn } from '../support/browser/chromium-sign-in.ts'
import { folderAt } from '../support/processes/data-folder.ts'
import { keyturn, runProgram } from '../support/processes/process.ts'
import { until } from '../support/server/waiting.ts'

browserTest('login opens a browser, in which the sign-in ends, and commands then work', async (t, open) => {
  const { server, issuer, alice } = await browserWorld(t)
  await server.store.users.update(alice.id, (one) => ({ ...one, roles: [...one.roles, ADMIN_ROLE] }))
  await server.poll()
  const folder = folderAt(t.testdir({}))
  const opened = join(folder.path, 'opened')
  const programs = join(folder.path, 'bin')
  mkdirSync(programs)
  // Stands for the desktop’s choice of a browser, and only says what it was asked to open.
  const opener = join(programs, process.platform === 'darwin' ? 'open' : 'xdg-open')
  writeFileSync(opener, `#!/bin/sh\nprintf '%s' "$1" > '${opened}.new' && mv '${opened}.new' '${opened}'\n`)
  chmodSync(opener, 0o755)
  const env = { DISPLAY: ':9', PATH: `${programs}:${process.env.PATH}` }

  const login = runProgram(folder, ['login', issuer], { env })
  t.teardown(() => login.child.kill('SIGKILL'))
  const page = await (await open()).tab()
  await until(() => existsSync(opened))
  await page.goto(readFileSync(opened, 'utf8'))
  await signIn(t, page)
  await at(t, page, 'Allow Keyturn command line to access your account?')
  await page.getByRole('button', { name: 'Allow' }).click()
  await at(t, page, 'Signed in')
  t.match(page.url(), /^http:\/\/127\.0\.0\.1:\d+\/callback\?/)
  t.same(await login.ended, { code: 0, signal: null }, login.stderr())
  t.match(login.stdout(), new RegExp(`^signed in\nserver +${issuer}\nuser +${alice.id}\n`))

  const list = await keyturn(folder, ['roles', 'list', '--server', issuer, '--json'], { env })
  t.equal(list.code, 0, list.stderr)
  t.match(JSON.parse(list.stdout), [{ name: 'clerk' }])
  const logout = await keyturn(folder, ['logout', issuer], { env })
  t.equal(logout.code, 0, logout.stderr)
})
