/** The programs of docs/guides as the pages print them; only ports and the issuer are replaced. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { browserTest } from '../support/browser/chromium.ts'
import { typePassword } from '../support/browser/chromium-sign-in.ts'
import { codeBlocks, read, root } from '../support/docs/documents.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'
import { listenAt } from './application.ts'
import { ALICE, applicationOrigin, person, signInAt, startKeyturn } from './keyturn.ts'

const keyturn = await startKeyturn(t)
await keyturn.command('apis create https://orders.example --scope orders:read --scope orders:write')
await keyturn.command('roles create clerk --scope orders:read --scope orders:write')
await keyturn.command('users add-role alice clerk')

/** A file of a guide, with every address replaced. */
function fileOf(page: string, name: string, addresses: Readonly<Record<string, string>>): string {
  const block = codeBlocks(read(`docs/guides/${page}`)).find(({ info }) => info === name)
  if (!block) throw new Error(`${page} has no block ${name}`)
  return Object.entries({ 'http://localhost:3000': keyturn.issuer, ...addresses }).reduce(
    (text, [from, to]) => text.replaceAll(from, to),
    block.text,
  )
}

/** The command of a guide that registers its client; `--env` names a file that this test does not need. */
async function register(page: string, addresses: Readonly<Record<string, string>>) {
  const [line = ''] = codeBlocks(read(`docs/guides/${page}`))
    .filter(({ text }) => text.includes('clients create'))
    .map(({ text }) => text.trim().replace('npx keyturn ', ''))
  const command = Object.entries(addresses).reduce((text, [from, to]) => text.replaceAll(from, to), line)
  return keyturn.command<{ client_id: string; client_secret?: string }>(command.replace(/ --env \S+/, ''))
}

/** A folder in which the libraries are installed. */
function appFolder(t: Test): string {
  const { path } = emptyFolder(t)
  symlinkSync(fileURLToPath(new URL('node_modules', import.meta.url)), join(path, 'node_modules'))
  return path
}

function start(t: Test, folder: string, program: string, env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, [program], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill())
  return child
}

/** @throws {Error} if the program has ended, because then nothing would ever answer */
async function answers(t: Test, origin: string, program: ChildProcess): Promise<void> {
  while (!(await fetch(origin).catch(() => null))) {
    const { exitCode, signalCode, spawnargs } = program
    if (exitCode !== null || signalCode !== null)
      throw new Error(`${spawnargs.join(' ')} ended with ${exitCode ?? signalCode}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  t.pass(`${origin} answers`)
}

t.test('Express: the web application signs in and calls the API', async (t) => {
  const [web, api] = [await applicationOrigin(), await applicationOrigin()]
  const addresses = { 'http://localhost:4000': web, 'http://localhost:4001': api }
  const { client_id, client_secret = '' } = await register('express.md', addresses)
  const folder = appFolder(t)
  const ports = Object.fromEntries(
    Object.entries(addresses).map(([from, to]) => [
      `listen(${new URL(from).port},`,
      `listen(${new URL(to).port},`,
    ]),
  )
  const verify = pathToFileURL(join(root, 'packages/verify/index.ts')).href
  for (const name of ['api.mjs', 'web.mjs']) {
    const text = fileOf('express.md', name, { ...addresses, ...ports, "'@keyturn/verify'": `'${verify}'` })
    writeFileSync(join(folder, name), text)
  }
  const apiProgram = start(t, folder, 'api.mjs')
  const webProgram = start(t, folder, 'web.mjs', {
    CLIENT_ID: client_id,
    CLIENT_SECRET: client_secret,
    COOKIE_SECRET: 'a secret of the application, 32 characters',
  })
  await answers(t, web, webProgram)
  await answers(t, `${api}/orders`, apiProgram)

  const alice = person(keyturn, web)
  const home = await alice.signIn(await alice.app.open('/login'))
  t.match(home.body, `${ALICE.name}, ${ALICE.email}`)
  t.match(JSON.parse((await alice.app.open('/orders')).body), [{ item: 'a lamp', seller: /^u_/ }])
  const out = await alice.issuer.open((await alice.app.open('/logout')).away?.url ?? '')
  t.equal(out.away?.url, web, 'signed out, and led back')
})

t.test('the native app signs in through a port of this machine', async (t) => {
  await register('native-app.md', {})
  const folder = appFolder(t)
  writeFileSync(join(folder, 'orders-cli.mjs'), fileOf('native-app.md', 'orders-cli.mjs', {}))
  const program = start(t, folder, 'orders-cli.mjs')
  let output = ''
  const ended = once(program, 'exit')
  const address = await new Promise<string>((resolve) => {
    program.stdout?.on('data', (data: Buffer) => {
      output += data
      const [found] = /^http\S+(?=\n)/m.exec(output) ?? []
      if (found !== undefined) resolve(found)
    })
  })
  const { url } = await signInAt(keyturn.browser(), address)
  await (await fetch(url)).text()
  t.same(await ended, [0, null])
  t.match(
    output,
    `Signed in as ${ALICE.name}. The access token may: openid profile orders:read offline_access`,
  )
  t.match(output, /A new access token for 600 seconds\nSigned out\n$/)
})

browserTest('the single-page app signs in, renews its token and signs out', async (t, open) => {
  const origin = await applicationOrigin()
  const addresses = { 'http://localhost:5173': origin }
  await register('single-page-app.md', addresses)
  const module = (name: string) => readFileSync(fileURLToPath(import.meta.resolve(name)))
  // Instead of Vite, which resolves the imports of packages.
  const imports = { 'oidc-client-ts': '/oidc-client-ts.js', 'jwt-decode': '/jwt-decode.js' }
  const head = `<link rel="icon" href="data:,"><script type="importmap">${JSON.stringify({ imports })}</script>`
  const files: Record<string, string | Buffer> = {
    '/': fileOf('single-page-app.md', 'index.html', addresses).replace('<head>', `<head>${head}`),
    '/main.js': fileOf('single-page-app.md', 'main.js', addresses),
    '/oidc-client-ts.js': module('oidc-client-ts'),
    '/jwt-decode.js': readFileSync(
      fileURLToPath(new URL('node_modules/jwt-decode/build/esm/index.js', import.meta.url)),
    ),
  }
  await listenAt(t, origin, (request, response) => {
    const path = new URL(request.url ?? '', origin).pathname
    response.setHeader('content-type', path === '/' ? 'text/html' : 'text/javascript').end(files[path])
  })

  const tab = await (await open()).tab()
  await tab.goto(origin)
  await tab.getByRole('button', { name: 'Sign in' }).click()
  await tab.getByLabel('Username').waitFor()
  await typePassword(tab)
  await tab.getByRole('button', { name: 'Allow' }).click()
  const who = tab.locator('#who', { hasText: ALICE.name })
  await who.waitFor()
  t.match(await who.textContent(), `${ALICE.name}, ${ALICE.email}, openid profile email orders:read, until `)
  const renewed = tab.waitForResponse(`${keyturn.issuer}/oauth2/token`)
  await tab.getByRole('button', { name: 'Renew' }).click()
  t.equal((await renewed).status(), 200)
  await tab.getByRole('button', { name: 'Sign out' }).click()
  await tab.locator('#who', { hasText: 'Not signed in.' }).waitFor()
  t.equal(new URL(tab.url()).origin, origin)
})
