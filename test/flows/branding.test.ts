/** The organisation’s name, colour and logo: checked at the start, shown on every page, and never able to run scripts. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ConfigError } from '../../src/config/load.ts'
import { DEFAULT_BRAND } from '../../src/views/branding.ts'
import { openBrowser, tags } from '../support/browser/browser.ts'
import { seedUsers } from '../support/browser/sign-in.ts'
import { PASSWORD } from '../support/server/seed.ts'
import { testConfig, testServer } from '../support/server/server.ts'

const SVG = `<?xml version="1.0"?>
<!-- drawn by hand -->
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script><style>a{}</style></svg>`
const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
const JPEG = Buffer.from('ffd8ffe000104a464946', 'hex')
const WEBP = Buffer.from('RIFF\x10\0\0\0WEBPVP8 ', 'latin1')

function file(t: Test, name: string, body: string | Buffer): string {
  const folder = existsSync(t.testdirName) ? t.testdirName : t.testdir()
  const path = join(folder, name)
  writeFileSync(path, body)
  return path
}

async function start(t: Test, settings: Record<string, string>) {
  const server = await testServer({ settings })
  t.teardown(() => server.close())
  await seedUsers(server.store)
  return server
}

t.test('without settings the pages use Keyturn’s branding', async (t) => {
  const { brandName, brandColor, brandLogo } = testConfig()
  t.same({ name: brandName, color: brandColor, logo: brandLogo }, DEFAULT_BRAND)
})

t.test('name, colour and logo appear on the pages, and the name in authenticator apps', async (t) => {
  const server = await start(t, {
    BRAND_NAME: 'Zürich & <b>Söhne</b>',
    BRAND_COLOR: '#0a7c4a',
    BRAND_LOGO: file(t, 'logo.png', PNG),
  })
  const browser = openBrowser(server)
  const login = await browser.open('/login')
  t.match(login.body, '<title>Sign in · Zürich &amp; &lt;b&gt;Söhne&lt;/b&gt;</title>')
  const [logo] = tags(login.body).filter(({ name }) => name === 'img')
  t.equal(logo?.attributes.get('alt'), 'Zürich & <b>Söhne</b>')
  const picture = await server.inject({ url: logo?.attributes.get('src') ?? '' })
  t.match(picture.headers, { 'content-type': 'image/png', 'x-content-type-options': 'nosniff' })
  t.same(picture.rawPayload, PNG)
  const style = tags(login.body).find(({ attributes }) => attributes.get('rel') === 'stylesheet')
  t.match((await server.inject({ url: style?.attributes.get('href') ?? '' })).body, /#0a7c4a/)

  const missing = await browser.open('/nothing-here')
  t.match(missing.body, /Zürich &amp;/, 'error pages too')
  const account = await browser.submit(await browser.open('/account/passkeys'), {
    form: '/login',
    fill: { username: 'alice', password: PASSWORD },
  })
  t.match(account.body, /&quot;rp&quot;:\{&quot;name&quot;:&quot;Zürich &amp; /, 'passkeys')
  const totp = await browser.open('/account/totp')
  const { secondFactors } = server.deps.accounts
  t.match(secondFactors.startTotpSetup({ id: 'u', username: 'u' }).uri, /issuer=Z%C3%BCrich/)
  t.equal(totp.status, 200)
})

t.test('the type of a logo is detected from its content, not its file name', async (t) => {
  for (const [body, kind] of [
    [SVG, 'image/svg+xml'],
    [`\uFEFF  <svg viewBox="0 0 1 1"/>`, 'image/svg+xml'],
    [PNG, 'image/png'],
    [JPEG, 'image/jpeg'],
    [WEBP, 'image/webp'],
  ] as const) {
    const { brandLogo } = testConfig({ BRAND_LOGO: file(t, 'logo.txt', body) })
    t.equal(brandLogo?.contentType, kind)
  }
})

t.test('an invalid logo prevents the start with a one-line error', async (t) => {
  const whole = Buffer.concat([PNG, Buffer.alloc(200 * 1024 - PNG.length)])
  t.ok(testConfig({ BRAND_LOGO: file(t, 'logo.png', whole) }).brandLogo, '200 KB are allowed')
  for (const [what, path, words] of [
    ['too large', file(t, 'large.png', Buffer.concat([whole, Buffer.alloc(1)])), /at most 200 KB/],
    ['empty', file(t, 'empty.svg', ''), /must be an SVG, PNG, JPEG or WebP file/],
    ['HTML', file(t, 'page.svg', '<!DOCTYPE html><html><svg></svg></html>'), /must be an SVG, PNG/],
    ['a script', file(t, 'x.svg', 'alert("<svg>")'), /must be an SVG, PNG/],
    ['a GIF', file(t, 'x.gif', 'GIF89a'), /must be an SVG, PNG/],
    ['not UTF-8', file(t, 'x8.svg', Buffer.from('<svg>\xff</svg>', 'latin1')), /must be an SVG, PNG/],
    ['not there', '/nonexistent/logo.svg', /must be a readable file \(ENOENT\)/],
    ['a folder', t.testdirName, /must be a readable file \(EISDIR\)/],
  ] as const) {
    try {
      testConfig({ BRAND_LOGO: path })
      t.fail(what)
    } catch (error) {
      t.ok(error instanceof ConfigError, what)
      const { problems } = error as ConfigError
      t.equal(problems.length, 1)
      t.match(problems[0], /^KEYTURN_BRAND_LOGO /)
      t.match(problems[0], words, what)
    }
  }
})

t.test(
  'scripts in an SVG logo never run: it is embedded as an image and served with a restrictive policy (RFC 6749 §10.14; docs/security.md C48)',
  async (t) => {
    const server = await start(t, { BRAND_LOGO: file(t, 'logo.svg', SVG) })
    const { body } = await openBrowser(server).open('/login')
    const all = tags(body)
    const sources = new Set(
      all
        .filter(({ name }) => name === 'img' || name === 'link')
        .flatMap(({ attributes }) => [...attributes.values()]),
    )
    const address = [...sources].find((value) => value.endsWith('.svg')) ?? ''
    const users = all.filter(({ attributes }) => [...attributes.values()].includes(address))
    t.same(
      users.map(({ name, attributes }) => `${name} ${attributes.get('rel') ?? ''}`.trim()).sort(),
      ['img', 'link icon'],
      'never as an object, an embed, or part of the page',
    )
    t.notMatch(body, /onload|alert\(/)
    const picture = await server.inject({ url: address })
    t.equal(picture.headers['content-security-policy'], "default-src 'none'; style-src 'unsafe-inline'")
    t.equal(picture.headers['content-type'], 'image/svg+xml')
    t.equal(picture.headers['x-content-type-options'], 'nosniff')
  },
)
