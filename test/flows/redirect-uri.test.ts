import fc from 'fast-check'
import t from 'tap'
import { openBrowser } from '../support/browser/browser.ts'
import { clientGetsError, userGetsError } from '../support/browser/page-assertions.ts'
import {
  AUTHORIZE,
  authorizeParams,
  authorizeUrl,
  CHALLENGE,
  codeClient,
  seedUsers,
  signIn,
} from '../support/browser/sign-in.ts'
import { anyText } from '../support/server/any-text.ts'
import { basic, post } from '../support/server/requests.ts'
import { ORDERS } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'

const HTTPS = 'https://app.test/callback'
const QUERY = 'https://app.test/callback?tenant=1'
const V4 = 'http://127.0.0.1:8080/callback'
const V6 = 'http://[::1]/callback'
const NAME = 'http://localhost:8080/callback'
const SCHEME = 'com.example.app:/callback'
const REGISTERED: Readonly<Record<string, string>> = {
  https: HTTPS,
  query: QUERY,
  v4: V4,
  v6: V6,
  name: NAME,
  scheme: SCHEME,
}

const server = await testServer()
t.teardown(() => server.close())
await seedUsers(server.store)
for (const [id, uri] of Object.entries(REGISTERED)) {
  await server.store.clients.insert(codeClient({ id, redirectUris: [uri], firstParty: true }))
}
/** A client that was registered without redirect URIs, or that lost them. */
await server.store.clients.insert(codeClient({ id: 'none', redirectUris: [] }))

/** Signed in: an accepted request gets a code at once, or a consent page. */
const signedInBrowser = openBrowser(server)
await signIn(signedInBrowser, { client_id: 'own', scope: undefined, resource: ORDERS })

/** For each registered URI, URIs that only resemble it. */
const LOOKALIKES: Readonly<Record<string, readonly string[]>> = {
  https: [
    'http://app.test/callback',
    'HTTPS://app.test/callback',
    'https://APP.test/callback',
    'https://app.test/Callback',
    'https://app.test/CALLBACK',
    'https://app.test/callback/',
    'https://app.test//callback',
    'https://app.test/callback//',
    'https://app.test/./callback',
    'https://app.test/x/../callback',
    'https://app.test/callback/..',
    'https://app.test/callback/../evil',
    'https://app.test/callback/%2e%2e/evil',
    'https://app.test/callback%2f..%2fevil',
    'https://app.test/callback/..;/evil',
    'https://app.test/callback;x',
    'https://app.test/%63allback',
    'https://app.test/callback%00',
    'https://app.test/callback%20',
    'https://app.test/callback?',
    'https://app.test/callback?x=1',
    'https://app.test/callback?code=stolen&state=x',
    'https://app.test/callback&x=1',
    'https://app.test/callback#',
    'https://app.test/callback#x',
    'https://app.test/callback#@evil.test/',
    'https://app.test/callback%23',
    'https://app.test/callbackevil',
    'https://app.test/callbac',
    'https://app.test/callback.evil',
    'https://app.test',
    'https://app.test/',
    'https://app.test:443/callback',
    'https://app.test:444/callback',
    'https://app.test:/callback',
    'https://app.test./callback',
    'https://app.test.evil.test/callback',
    'https://evil.app.test/callback',
    'https://evilapp.test/callback',
    'https://app-test/callback',
    'https://appxtest/callback',
    'https://user@app.test/callback',
    'https://@app.test/callback',
    'https://app.test@evil.test/callback',
    'https://app.test:x@evil.test/callback',
    'https://app.test%40evil.test/callback',
    'https://app.test%2fcallback@evil.test/',
    'https://evil.test/https://app.test/callback',
    'https://evil.test?https://app.test/callback',
    'https://evil.test#https://app.test/callback',
    'https://evil.test\\@app.test/callback',
    'https://app.test\\callback',
    'https:\\\\app.test\\callback',
    'https:/app.test/callback',
    'https:app.test/callback',
    'https:///app.test/callback',
    '//app.test/callback',
    'app.test/callback',
    '/callback',
    'callback',
    ' https://app.test/callback',
    'https://app.test/callback ',
    'https://app.test/callback\t',
    'https://app.test/call\tback',
    'https://app.test/callback\n',
    'https://app.test/callback\r\nLocation: https://evil.test/',
    'https://app.test/callback\u0085',
    'https://app.test/callback\u2028',
    'https://app．test/callback',
    'https://app。test/callback',
    'https://аpp.test/callback',
    'https://xn--pp-7ka.test/callback',
    'https://app.test/callbac\u212A',
    'https://app.te\u00ADst/callback',
    `${HTTPS} ${HTTPS}`,
    `${HTTPS},https://evil.test/`,
    'javascript:alert(1)',
    'javascript://app.test/callback%0aalert(1)',
    'data:text/html,<script>alert(1)</script>',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://app.test/callback',
    'view-source:https://app.test/callback',
    'https://.*/callback',
    'https://*.test/callback',
    '*',
    'null',
    '"><script>alert(1)</script>',
  ],
  query: [
    'https://app.test/callback',
    'https://app.test/callback?',
    'https://app.test/callback?tenant=2',
    'https://app.test/callback?Tenant=1',
    'https://app.test/callback?tenant=1&x=2',
    'https://app.test/callback?x=2&tenant=1',
    'https://app.test/callback?tenant=1&tenant=1',
    'https://app.test/callback?tenant=%31',
    'https://app.test/callback?tenant=1&',
    'https://app.test/callback?tenant=1#x',
    'https://app.test/callback?tenant=1%26code=x',
    'https://app.test/callback/?tenant=1',
  ],
  v4: [
    'http://127.0.0.1:8080/other',
    'http://127.0.0.1:8080/callback/',
    'http://127.0.0.1:8080/callback?x',
    'http://127.0.0.1:8080/callback#x',
    'http://127.0.0.1:8080',
    'https://127.0.0.1:8080/callback',
    'HTTP://127.0.0.1:8080/callback',
    'http://localhost:8080/callback',
    'http://[::1]:8080/callback',
    'http://127.0.0.1:1@evil.test/callback',
    'http://127.0.0.1:@evil.test/callback',
    'http://127.0.0.1@evil.test/callback',
    'http://x@127.0.0.1:8080/callback',
    'http://127.0.0.1.evil.test/callback',
    'http://127.0.0.1.evil.test:8080/callback',
    'http://127.0.0.1:8080.evil.test/callback',
    'http://127.0.0.1:8080:8080/callback',
    'http://127.0.0.1:/callback',
    'http://127.0.0.1:0/callback',
    'http://127.0.0.1:08080/callback',
    'http://127.0.0.1:65536/callback',
    'http://127.0.0.1:99999/callback',
    'http://127.0.0.1:-1/callback',
    'http://127.0.0.1:+80/callback',
    'http://127.0.0.1:8e3/callback',
    'http://127.0.0.1:８０/callback',
    'http://127.0.0.1:80 /callback',
    'http://127.0.0.1:8080\\callback',
    'http://127.0.0.1\\@evil.test/callback',
    'http://127.0.0.1./callback',
    'http://127.1/callback',
    'http://127.0.0.2/callback',
    'http://127.0.0.01/callback',
    'http://0x7f.1/callback',
    'http://0177.0.0.1/callback',
    'http://2130706433/callback',
    'http://0.0.0.0:8080/callback',
    'http://①②⑦.0.0.1/callback',
    'http://[::ffff:127.0.0.1]/callback',
  ],
  v6: [
    'http://[::1]/other',
    'https://[::1]/callback',
    'http://[::2]/callback',
    'http://[0:0:0:0:0:0:0:1]/callback',
    'http://[::0001]/callback',
    'http://[::1%25lo]/callback',
    'http://[::1]@evil.test/callback',
    'http://[::1].evil.test/callback',
    'http://[::1]:80@evil.test/callback',
    'http://::1/callback',
    'http://127.0.0.1/callback',
  ],
  // RFC 8252 §8.3: a name may resolve to any address, so its port is not free.
  name: [
    'http://localhost/callback',
    'http://localhost:8081/callback',
    'http://LOCALHOST:8080/callback',
    'http://localhost.:8080/callback',
    'http://localhost.evil.test:8080/callback',
    'http://127.0.0.1:8080/callback',
    'http://[::1]:8080/callback',
  ],
  scheme: [
    'com.example.app:/callback/',
    'com.example.app:/other',
    'com.example.app://callback',
    'com.example.app:callback',
    'com.example.app:///callback',
    'COM.example.app:/callback',
    'com.example.app.evil:/callback',
    'com.example.ap:/callback',
    'com.example.app:/callback?x=1',
    'com.example.app:/callback#x',
    'com-example-app:/callback',
    'javascript:com.example.app:/callback',
  ],
}

for (const [id, lookalikes] of Object.entries(LOOKALIKES)) {
  t.test(
    `a URI that only resembles ${REGISTERED[id]} shows an error page in every response mode (docs/security.md C29, C30, C31, C32, C46, P13, P14, P15, P17, P18, P19, P20)`,
    async (t) => {
      for (const redirect_uri of lookalikes) {
        const label = encodeURI(redirect_uri)
        const unsaid =
          redirect_uri.length > 20 ? [redirect_uri, 'evil.test', '<script>alert'] : ['<script>alert']
        for (const more of [
          {},
          { response_mode: 'form_post' },
          { prompt: 'none' },
          { response_type: 'token' },
        ]) {
          const overrides = { client_id: id, redirect_uri, ...more }
          userGetsError(t, await signedInBrowser.request(authorizeUrl(overrides)), label, unsaid)
        }
        const body = String(authorizeParams({ client_id: id, redirect_uri }))
        userGetsError(
          t,
          await signedInBrowser.open(AUTHORIZE, { method: 'POST', body, from: 'cross-site' }),
          label,
          unsaid,
        )
        const form = Object.fromEntries(authorizeParams({ client_id: id, redirect_uri }))
        const pushed = await post(server, '/oauth2/par', form, { authorization: basic(id) })
        t.same([pushed.statusCode, pushed.json().error], [400, 'invalid_request'], `${label}, pushed`)
      }
    },
  )
}

t.test(
  'a loopback redirect URI may vary in its port and nothing else (RFC 8252 §7.3; docs/security.md C31)',
  async (t) => {
    for (const [client_id, redirect_uri] of [
      ['v4', V4],
      ['v4', 'http://127.0.0.1/callback'],
      ['v4', 'http://127.0.0.1:1/callback'],
      ['v4', 'http://127.0.0.1:65535/callback'],
      ['v6', V6],
      ['v6', 'http://[::1]:61023/callback'],
      ['name', NAME],
      ['https', HTTPS],
      ['query', QUERY],
      ['scheme', SCHEME],
    ] as const) {
      const page = await signedInBrowser.request(authorizeUrl({ client_id, redirect_uri, scope: 'admin' }))
      // As requested, with its port; the app listens there.
      t.ok(page.location?.startsWith(redirect_uri), String(page.location))
      clientGetsError(t, page, { error: 'invalid_scope', to: redirect_uri }, redirect_uri)
    }
  },
)

t.test(
  'a client without redirect URIs gets no response at any URI (RFC 9700 §4.1.3, RFC 6749 §3.1.2.3; docs/security.md P17, C34)',
  async (t) => {
    for (const redirect_uri of [undefined, '', HTTPS, 'https://evil.test/', 'undefined', 'null']) {
      userGetsError(
        t,
        await signedInBrowser.request(authorizeUrl({ client_id: 'none', redirect_uri })),
        String(redirect_uri),
      )
    }
  },
)

t.test(
  'remembered consent does not extend to another redirect URI (RFC 9700 §4.1.3; docs/security.md P19)',
  async (t) => {
    await signIn(signedInBrowser, { client_id: 'web' }, { remember: true })
    for (const redirect_uri of ['https://evil.test/', 'https://spa.test/', 'https://own.test/callback']) {
      userGetsError(
        t,
        await signedInBrowser.request(authorizeUrl({ client_id: 'web', redirect_uri })),
        redirect_uri,
      )
    }
  },
)

const pieces = fc.constantFrom(
  ...[
    'https:',
    'http:',
    '//',
    '/',
    '\\',
    '@',
    ':',
    '.',
    '..',
    ';',
    '?',
    '#',
    '%2f',
    '%00',
    '\t',
    ' ',
    'app.test',
    'evil.test',
  ],
  ...[
    '127.0.0.1',
    '[::1]',
    'localhost',
    'com.example.app:',
    '/callback',
    ':8080',
    ':80',
    'tenant=1',
    '&',
    'code=x',
    'javascript:',
    'user',
  ],
)
const uris = fc.oneof(
  { weight: 4, arbitrary: fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join('')) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.constantFrom(...Object.values(REGISTERED)), fc.nat({ max: 60 }), fc.nat({ max: 3 }), pieces)
      .map(([uri, at, cut, piece]) => uri.slice(0, at) + piece + uri.slice(at + cut)),
  },
  { weight: 1, arbitrary: fc.webUrl({ withFragments: true, withQueryParameters: true }) },
  {
    weight: 1,
    arbitrary: anyText(40).filter((text) => text.isWellFormed() && !text.includes('\0')),
  },
)
const anyPort = /^http:\/\/(127\.0\.0\.1|\[::1\])(?::[1-9]\d{0,4})?\/callback$/

t.test(
  'no request redirects the user to an unregistered URI (RFC 9700 §2.1, RFC 8252 §7.3; docs/security.md C30, C31)',
  async (t) => {
    let redirected = 0
    const property = fc.asyncProperty(
      fc.constantFrom(...Object.keys(REGISTERED)),
      uris,
      fc.boolean(),
      async (client_id, redirect_uri, fails) => {
        const overrides = {
          client_id,
          redirect_uri,
          scope: fails ? 'admin' : 'openid',
          code_challenge: CHALLENGE,
        }
        const { location, body, status } = await signedInBrowser.request(authorizeUrl(overrides))
        if (location === undefined) {
          if (status !== 400 || body.includes('http-equiv')) throw new Error(`${status}`)
          return
        }
        // Our own consent page for the user of an app.
        if (location.startsWith('/consent?flow=')) return
        redirected += 1
        const registered = REGISTERED[client_id] ?? ''
        const before = location.replace(/[?&](code|error)=.*$/s, '')
        const same = before === registered
        const loopback =
          ['v4', 'v6'].includes(client_id) &&
          anyPort.test(before) &&
          before.includes(client_id === 'v4' ? '127' : '::1')
        if (!same && !loopback) throw new Error(`${redirect_uri} led to ${location}`)
      },
    )
    await t.resolves(
      fc.assert(property, {
        numRuns: 600,
        examples: [
          ['https', HTTPS, false],
          ['v4', 'http://127.0.0.1:1/callback', true],
        ],
      }),
    )
    t.ok(redirected > 1, `${redirected} were redirected to their application`)
  },
)
