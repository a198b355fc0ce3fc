/** "Try it" of docs/sign-in.md, pasted as it is, up to a user who is signed in at examples/web-app, and out again. */
import t, { type Test } from 'tap'
import { createStore, openDb } from '../../src/store/index.ts'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import { browserTest } from '../support/browser/chromium.ts'
import { at } from '../support/browser/chromium-sign-in.ts'
import { completePages } from '../support/browser/sign-in.ts'
import { codeBlocks, read } from '../support/docs/documents.ts'
import { checkout, paste, shellEnvironment, terminal } from '../support/docs/shell.ts'
import { freePort } from '../support/server/free-port.ts'
import { overHttp } from '../support/server/http-inject.ts'
import { PASSWORD, user } from '../support/server/seed.ts'
import { until } from '../support/server/waiting.ts'

const ports = { issuer: await freePort(), orders: await freePort(), app: await freePort() }
const ISSUER = `http://localhost:${ports.issuer}`
const APP = `http://localhost:${ports.app}`
const withTestUrls = (text: string) => text.replaceAll('http://localhost:4002', APP)
const blocks = ['README.md', 'docs/sign-in.md'].flatMap((page) => codeBlocks(read(page)))
const block = (info: string) => blocks.find((one) => one.info === info)?.text ?? ''
/** Everything from the first five minutes that the section builds on. */
const api = blocks
  .flatMap(({ text }) => text.split('\n'))
  .find((line) => line.startsWith('npx keyturn apis create'))
const [startOrders = '', startApp = ''] = block('sign-in start').split('\n')

const folder = checkout(t)
// So that the app needs a new token while the test runs: it refreshes at half of that time. The other half is for a busy machine.
const settings = { KEYTURN_PORT: String(ports.issuer), KEYTURN_ACCESS_TOKEN_TTL: '12s' }
const address = { ISSUER, ORDERS_API: `http://localhost:${ports.orders}` }
const keyturn = shellEnvironment(settings)
const example = (command: string, port: number) =>
  terminal(t, folder, shellEnvironment({ ...address, PORT: String(port) }), command)

const ordersStarted = example(startOrders, ports.orders)
await terminal(t, folder, keyturn, 'npx keyturn serve --json')
await paste(folder, keyturn, `${api}\n${withTestUrls(block('sign-in'))}`)
await example(startApp, ports.app)
const orders = await ordersStarted

const db = openDb(`sqlite:${folder}/data/keyturn.db`)
t.teardown(() => db.close())
const store = createStore(db)
const bob = await user({ username: 'bob', roles: [] })
await store.users.insert(bob)

/** One user’s browser, at the app and at Keyturn. */
interface Both {
  readonly app: Browser
  readonly issuer: Browser
}

const open = (): Both => ({ app: openBrowser(overHttp(APP)), issuer: openBrowser(overHttp(ISSUER)) })
const away = ({ away, status, body }: Page): string => {
  if (!away) throw new Error(`the browser was not redirected: ${status} ${body}`)
  return away.url
}

async function signIn(t: Test, { app, issuer }: Both, username: string): Promise<Page> {
  const welcome = await app.open('/')
  t.match(welcome.body, 'You are not signed in')
  const login = await issuer.open(
    away(await app.open(welcome.links.find((link) => /login/.test(link)) ?? '')),
  )
  t.match(login.body, 'to continue to <bdi class="name">Web app</bdi>', 'the page says what it is for')
  return app.open(away(await completePages(issuer, login, { username })))
}

/** What app.js does with a form. */
const send = (
  { app }: Both,
  path: string,
  fields: Record<string, string>,
  headers: Record<string, string> = { 'x-csrf': '1' },
) =>
  app.request(path, {
    method: 'POST',
    from: 'same-origin',
    body: JSON.stringify(fields),
    headers: { 'content-type': 'application/json', origin: APP, ...headers },
  })

t.test(
  'the commands of docs/sign-in.md lead to a user who signs in, places an order and signs out',
  async (t) => {
    const alice = open()
    const home = await signIn(t, alice, 'alice')
    t.match(home.body, 'Signed in as <strong>Alice Able</strong>')
    t.match(home.body, 'No orders yet.')
    t.match(home.body, `href="${ISSUER}/account"`)
    t.notMatch(home.body, /eyJ|ktr\./, 'the page contains no token')

    t.same(JSON.parse((await send(alice, '/orders', { item: '<b>a lamp' })).body), { next: '/' })
    t.equal((await send(alice, '/orders', { item: 'forged' }, {})).status, 403, 'a form of another site')
    const ordered = (await alice.app.open('/')).body
    t.match(ordered, '<ul>\n<li>&lt;b&gt;a lamp</li>\n</ul>', 'the order, escaped, and nothing else')

    const { next } = JSON.parse((await send(alice, '/auth/logout', {})).body) as { next: string }
    const out = await alice.issuer.open(away(await alice.app.open(next)))
    t.equal(away(out), `${APP}/`, 'signed out at Keyturn, and sent back without a question')
    t.match((await alice.app.open('/')).body, 'You are not signed in')
    await signIn(t, alice, 'alice')
  },
)

const bobBrowser = open()

t.test('a user without a role can sign in and is told what is not allowed', async (t) => {
  const home = await signIn(t, bobBrowser, 'bob')
  t.match(home.body, 'Signed in as <strong>bob</strong>', 'without a name, the username')
  t.match(home.body, 'You do not have permission to do this.')
  t.notMatch(home.body, 'name="item"')
  t.same(JSON.parse((await send(bobBrowser, '/orders', { item: 'a lamp' })).body), {
    error: 'You do not have permission to do this.',
  })
  // As an administrator; the app should notice when it needs a new token, which a later test waits for.
  await store.clientSessions.revokeMatching({ userId: bob.id }, Math.floor(Date.now() / 1000), 'for a test')
})

t.test('a user who denies consent, or opens the callback directly, sees an error page', async (t) => {
  const { app } = open()
  const begun = new URL(away(await app.open('/auth/login'))).searchParams.get('state')
  const answer = new URLSearchParams({ error: 'access_denied', state: begun ?? '', iss: ISSUER })
  const refused = await app.open(`/auth/callback?${answer}`)
  t.match([refused.status, refused.body], [403, '<p>The sign-in was not allowed.</p>'])
  const unknown = await app.open('/auth/callback?code=x&state=y')
  t.match([unknown.status, unknown.body], [400, '<p>This sign-in was not started in this browser'])
})

/** In CSS pixels and as CSS colours, as the browser shows the page. */
const LOOK = `(() => {
  const style = (selector) => getComputedStyle(document.querySelector(selector))
  const card = document.querySelector('main').getBoundingClientRect()
  return {
    page: style('html').backgroundColor,
    card: style('main').backgroundColor,
    width: card.width,
    centred: Math.abs(card.left - (document.documentElement.clientWidth - card.right)) < 2,
    font: style('main').fontFamily,
    buttons: [...document.querySelectorAll('.button, button')].map((one) => one.getBoundingClientRect().height),
    filled: [...document.querySelectorAll('.button, button:not(.quiet)')].map((one) => getComputedStyle(one).backgroundColor),
    scrolls: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  }
})()`

interface Look {
  readonly page: string
  readonly card: string
  readonly width: number
  readonly centred: boolean
  readonly font: string
  readonly buttons: readonly number[]
  readonly filled: readonly string[]
  readonly scrolls: boolean
}

browserTest('the example’s pages are styled, on phones and desktops, light and dark', async (t, window) => {
  const opened = await window()
  const tab = await opened.tab()
  opened.expect(/400 \(Bad Request\)/)
  const pages: Record<string, string> = {
    '/': 'Orders',
    '/auth/callback?code=x&state=y': 'Something went wrong',
  }
  const seen = new Set<string>()
  for (const colorScheme of ['light', 'dark'] as const) {
    await tab.emulateMedia({ colorScheme })
    for (const width of [320, 1280]) {
      await tab.setViewportSize({ width, height: 800 })
      for (const [path, heading] of Object.entries(pages)) {
        await tab.goto(`${APP}${path}`)
        await at(t, tab, heading)
        const look = await tab.evaluate<Look>(LOOK)
        const where = `${path} ${width} ${colorScheme}`
        t.not(look.card, look.page, `${where}: a card on the page`)
        t.match(look.font, 'system-ui', where)
        t.ok(look.centred && look.width <= 600 && !look.scrolls, `${where}: ${JSON.stringify(look)}`)
        t.ok(
          look.buttons.length > 0 && look.buttons.every((height) => height >= 40),
          `${where}: buttons for fingers`,
        )
        for (const colour of look.filled) t.not(colour, 'rgba(0, 0, 0, 0)', `${where}: a filled button`)
        seen.add(look.card)
      }
    }
  }
  t.equal(seen.size, 2, 'dark cards differ from light ones')
})

browserTest(
  'the example’s pages work in a real browser under their content security policy',
  async (t, window) => {
    const opened = await window()
    const tab = await opened.tab()
    // An error response always produces a line in the console, and a blocked style would produce another.
    opened.expect(/400 \(Bad Request\)/)
    await tab.goto(`${APP}/auth/callback?code=x&state=y`)
    await tab.getByText('Continue').click()
    await tab.getByText('Sign in').click()
    await tab.getByLabel('Username').fill('alice')
    await tab.getByLabel('Password').fill(PASSWORD)
    await tab.getByLabel('Password').press('Enter')
    await tab.getByText('Signed in as Alice Able').waitFor()
    await at(t, tab, 'Orders')
    await tab.getByLabel('Item').fill('a real lamp')
    await tab.getByText('Order', { exact: true }).click()
    await tab.getByRole('listitem').filter({ hasText: 'a real lamp' }).waitFor()
    await tab.getByText('Sign out').click()
    await tab.getByText('You are not signed in').waitFor()
    t.equal(tab.url(), `${APP}/`)
  },
)

t.test('a user whose session was ended at Keyturn is signed out at the next token refresh', async (t) => {
  await until(async () => {
    const { status, body } = await bobBrowser.app.open('/')
    return status === 200 && body.includes('You are not signed in')
  })
  t.pass('without an error')
  const back = await bobBrowser.issuer.open(away(await bobBrowser.app.open('/auth/login')))
  t.match(
    (await bobBrowser.app.open(away(back))).body,
    'Signed in as',
    'Bob’s session at Keyturn had not ended',
  )
})

t.test('without the orders API users can still sign in', async (t) => {
  await orders.stop()
  t.match(
    (await signIn(t, open(), 'alice')).body,
    `The orders API does not answer: is it running at ${address.ORDERS_API}?`,
  )
})

t.test('the example’s README has the same commands', async (t) => {
  const shown = codeBlocks(read('examples/web-app/README.md'))
    .filter(({ language }) => language === 'sh')
    .map(({ text }) => text)
  const client = block('sign-in').trim().split('\n').at(-1)
  t.same(shown, [`${client}\n`, block('sign-in start')])
})
