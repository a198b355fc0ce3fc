/** Attacks on the backend for the frontend (RFC 9700, draft-ietf-oauth-browser-based-apps §6.1.3). */
import t, { type Test } from 'tap'
import { returnUrl } from '../../packages/browser-session/return-to.ts'
import { type Answer, type JarBrowser, parseCookie } from '../support/browser/cookie-browser.ts'
import {
  APP,
  openidWorld,
  SAME_ORIGIN_HEADERS,
  secret,
  TOKEN_SECONDS,
} from '../support/issuers/oidc-provider.ts'

const who = async (browser: JarBrowser) => (await browser.request(`${APP}/who`)).body
const atCallback = (url: string) => url.startsWith(`${APP}/auth/callback`)

/** The URL of the callback, which the browser has not opened yet. */
async function callbackOf(browser: JarBrowser): Promise<URL> {
  return new URL((await browser.visit(`${APP}/auth/login?return_to=/page`, atCallback)).location ?? '')
}

t.test('return_to accepts only paths of the app, so there is no open redirect', async (t) => {
  const own = ['/auth/login', '/auth/callback']
  const good: [string, string][] = [
    ['/', '/'],
    ['/orders/1?a=b&c=%2F%2F#x', '/orders/1?a=b&c=%2F%2F#x'],
    ['/a/../b', '/b'],
    ['/x//y', '/x//y'],
    ['/?next=https://evil.example', '/?next=https://evil.example'],
    ['/@evil.example', '/@evil.example'],
    ['/ä', '/%C3%A4'],
  ]
  for (const [requested, path] of good) t.equal(returnUrl(requested, APP, own), APP + path, requested)
  const bad: unknown[] = [
    ...['', 'x', 'https://evil.example', 'https:evil.example', 'https:/evil.example', 'HTTPS://evil.example'],
    ...[
      '//evil.example',
      '///evil.example',
      '/\\evil.example',
      '\\\\evil.example',
      '\\/evil.example',
      '/x\\y',
    ],
    ...[
      '/%2Fevil.example',
      '/%2f/evil.example',
      '/%5Cevil.example',
      '/%252Fevil.example',
      '%2F%2Fevil.example',
    ],
    ...[
      '/.//evil.example',
      '/..//evil.example',
      '/a/..//evil.example',
      '/%2e//evil.example',
      '/./\\evil.example',
    ],
    ...[
      '/\t/evil.example',
      '/\n/evil.example',
      '\t//evil.example',
      ' //evil.example',
      '/\r\nset-cookie: a=b',
    ],
    ...['javascript:alert(1)', 'data:text/html,x', '//user@evil.example', 'https://app.example@evil.example'],
    ...['https://app.example.evil.example/', `${APP}/page`, '/\u00a0/evil.example', '/\u2028', '/\u0000'],
    ...['/auth/login', '/auth/callback?state=x', '/x/../auth/login', `/${'a'.repeat(3000)}`],
    ...[undefined, null, 5, ['/page', '//evil.example'], { a: '/page' }],
  ]
  for (const requested of bad)
    t.equal(returnUrl(requested, APP, own), `${APP}/`, encodeURI(JSON.stringify(requested) ?? ''))

  const { app, browser } = await openidWorld(t)
  await app()
  for (const requested of ['return_to=//evil.example', 'return_to=/page&return_to=//evil.example', '']) {
    const alice = browser()
    t.equal((await alice.visit(`${APP}/auth/login?${requested}`)).url, `${APP}/`, requested)
    t.equal(await who(alice), 'alice')
  }
})

t.test(
  'a callback that does not match its sign-in creates no session (RFC 9700 §2.1, §4.4, §4.5, §4.7, RFC 9207)',
  async (t) => {
    const { app, browser, issuer, time } = await openidWorld(t)
    await app()
    const refused = async (t: Test, browser: JarBrowser, url: URL, status: number, code: string) => {
      const before = issuer.answers.length
      const answer = await browser.request(url.href)
      t.equal(answer.status, status, answer.body)
      t.equal(answer.json().code, code)
      t.equal(answer.headers['cache-control'], 'no-store')
      t.equal(await who(browser), 'nobody')
      return issuer.answers.length - before
    }
    const changed = (url: URL, parameters: Record<string, string | undefined>) => {
      const copy = new URL(url)
      for (const [name, value] of Object.entries(parameters)) {
        if (value === undefined) copy.searchParams.delete(name)
        else copy.searchParams.set(name, value)
      }
      return copy
    }

    await t.test('without a known state, the code is not sent to the issuer', async (t) => {
      const alice = browser()
      const url = await callbackOf(alice)
      const state = url.searchParams.get('state') ?? ''
      for (const wrong of [
        undefined,
        '',
        'x',
        'A'.repeat(43),
        state.slice(0, 16),
        `${state.slice(0, -1)}!`,
      ]) {
        const sent = await refused(t, alice, changed(url, { state: wrong }), 400, 'SIGN_IN_UNKNOWN')
        t.equal(sent, 0)
      }
      await alice.request(url.href)
      t.equal(await who(alice), 'alice', 'and the real one still passes')
    })

    await t.test('a callback of a sign-in from another browser is refused (login CSRF)', async (t) => {
      const mallory = browser()
      const url = await callbackOf(mallory)
      t.equal(await refused(t, browser(), url, 400, 'SIGN_IN_UNKNOWN'), 0)
      const alice = browser()
      await callbackOf(alice)
      t.equal(await refused(t, alice, url, 400, 'SIGN_IN_UNKNOWN'), 0)
    })

    await t.test('the cookie of one sign-in is refused under the name of another', async (t) => {
      const alice = browser()
      const first = await callbackOf(alice)
      const second = await callbackOf(alice)
      const [one, two] = [...alice.cookies(APP).values()]
      alice.setCookie(APP, two?.name ?? '', one?.value ?? '')
      await refused(t, alice, second, 400, 'SIGN_IN_UNKNOWN')
      await alice.request(first.href)
      t.equal(await who(alice), 'alice')
    })

    await t.test(
      "another user's code is refused, because PKCE binds it to its sign-in (code injection)",
      async (t) => {
        const victim = await callbackOf(browser())
        const mallory = browser()
        const own = await callbackOf(mallory)
        const code = victim.searchParams.get('code') ?? ''
        t.equal(await refused(t, mallory, changed(own, { code }), 400, 'SIGN_IN_FAILED'), 1)
        t.equal(issuer.answers.at(-1)?.error, 'invalid_grant', 'the issuer saw the wrong verifier')
      },
    )

    await t.test('a callback works once, for the browser and for a copy of its cookies', async (t) => {
      const alice = browser()
      const callback = await callbackOf(alice)
      const copy = browser()
      for (const { name, value } of alice.cookies(APP).values()) copy.setCookie(APP, name, value)
      await alice.request(callback.href)
      t.equal(await who(alice), 'alice')
      t.equal(await refused(t, copy, callback, 400, 'SIGN_IN_UNKNOWN'), 0)
      t.equal((await alice.request(callback.href)).status, 400)
      t.equal(await who(alice), 'alice', 'the session survives')
    })

    await t.test('a response without iss or with another iss is refused (RFC 9207 §2.4)', async (t) => {
      for (const iss of ['https://evil.example', `${issuer.origin}/`, undefined]) {
        const alice = browser()
        const url = await callbackOf(alice)
        t.equal(await refused(t, alice, changed(url, { iss }), 400, 'SIGN_IN_FAILED'), 0, `${iss}`)
      }
    })

    await t.test('a response with a repeated parameter is refused', async (t) => {
      const alice = browser()
      const url = await callbackOf(alice)
      url.searchParams.append('code', 'x')
      t.equal(await refused(t, alice, url, 400, 'SIGN_IN_FAILED'), 0)
    })

    await t.test('an error response creates no session, and its text is not shown', async (t) => {
      const alice = browser()
      const url = changed(await callbackOf(alice), {
        code: undefined,
        error: 'access_denied',
        error_description: '<script>alert(1)</script>',
      })
      t.equal(await refused(t, alice, url, 403, 'SIGN_IN_REFUSED'), 0)
      t.notMatch(alice.seen.map(({ body }) => body).join(), /script/)
    })

    await t.test('a callback after more than ten minutes is refused', async (t) => {
      const alice = browser()
      const url = await callbackOf(alice)
      time.tick(600)
      t.equal(await refused(t, alice, url, 400, 'SIGN_IN_UNKNOWN'), 0)
    })

    await t.test(
      'an ID token with another nonce or without the signature of the issuer is refused',
      async (t) => {
        const real = (change: (token: string) => string) => {
          issuer.routes.set('/token', (_, response, pass) => {
            const end = response.end.bind(response)
            response.end = ((chunk: unknown) => {
              const answer = JSON.parse(String(chunk))
              const body = JSON.stringify({ ...answer, id_token: change(answer.id_token) })
              response.setHeader('content-length', Buffer.byteLength(body))
              return end(body)
            }) as typeof response.end
            pass()
          })
        }
        t.teardown(() => issuer.routes.delete('/token'))
        let first = ''
        real((token) => {
          first ||= token
          return token
        })
        const alice = browser()
        await alice.request((await callbackOf(alice)).href)
        t.equal(await who(alice), 'alice')
        const [header, payload, signature = ''] = first.split('.')
        const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
        const forge = (token: string, claims: object) => {
          const own = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
          return encode({ ...own, ...claims })
        }
        for (const change of [
          () => first,
          (token: string) => `${header}.${forge(token, { sub: 'root' })}.${signature}`,
          (token: string) => `${header}.${token.split('.')[1]}.${signature.split('').reverse().join('')}`,
          (token: string) => `${encode({ alg: 'none' })}.${forge(token, {})}.`,
          () => `${header}.${payload}.`,
          () => undefined as unknown as string,
        ]) {
          real(change)
          const mallory = browser()
          await refused(t, mallory, await callbackOf(mallory), 400, 'SIGN_IN_FAILED')
        }
      },
    )
  },
)

for (const store of [undefined, 'cookie'] as const) {
  const variant = store ?? 'memory'
  const kind = store === undefined ? {} : { store }

  t.test(
    `${variant}: cookies that are changed, moved, made up or encrypted for another app give no session`,
    async (t) => {
      const { app, browser, signedIn, copyOf } = await openidWorld(t)
      await app(kind)
      const alice = await signedIn()
      const cookies = [...alice.cookies(APP).values()].filter(({ name }) => !name.endsWith('.seen'))
      const session = cookies[0]
      t.ok(session)
      const { name = '', value = '' } = session ?? {}
      for (let i = value.indexOf('.') + 1; i < value.length; i += Math.ceil(value.length / 40)) {
        const other = value[i] === 'A' ? 'B' : 'A'
        const forged = browser()
        forged.setCookie(APP, name, value.slice(0, i) + other + value.slice(i + 1))
        t.equal(await who(forged), 'nobody', `character ${i}`)
      }
      for (const text of [
        '',
        '.',
        '1.',
        '1.x',
        '9.x',
        'x',
        '%00',
        value.slice(0, -5),
        `${value}AAAA`,
        `${value}=`,
        `${value} !`,
        value.replace(/.$/, (last) => String.fromCharCode(last.charCodeAt(0) + 1)),
        'A'.repeat(3000),
      ]) {
        const forged = browser()
        forged.setCookie(APP, name, text)
        t.equal(await who(forged), 'nobody', text.slice(0, 20))
      }
      const renamed = browser()
      renamed.setCookie(APP, name.replace(/\.\d+\./, '.99999999999.'), value)
      t.equal(await who(renamed), store === 'cookie' ? 'nobody' : 'alice', 'a generation cannot be made up')

      const pending = browser()
      await pending.request(`${APP}/auth/login`)
      const transaction = [...pending.cookies(APP).values()][0]?.value ?? ''
      pending.setCookie(APP, name, store === 'cookie' ? `1.${transaction}` : transaction)
      t.equal(await who(pending), 'nobody', 'the cookie of a sign-in is not a session')

      const foreign = { ...kind, secret: secret(7) }
      t.equal(await who(copyOf(alice, await app(foreign))), 'nobody', 'another secret')
      const otherClient = await app({ ...kind, clientId: 'other-web' })
      t.equal(await who(copyOf(alice, otherClient)), 'nobody', 'the same secret in another app')
      t.equal(
        await who(copyOf(alice)),
        'alice',
        'only a copy of all cookies works, which HttpOnly, Secure and __Host- prevent',
      )
    },
  )

  t.test(
    `${variant}: the sign-in starts a new session, whatever session was planted before (session fixation)`,
    async (t) => {
      const { app, signedIn, issuer, copyOf } = await openidWorld(t)
      await app(kind)
      issuer.account = 'mallory'
      const mallory = await signedIn()
      const victim = copyOf(mallory)
      issuer.account = 'alice'
      await victim.visit(`${APP}/auth/login`)
      t.equal(await who(victim), 'alice')
      t.not(await who(mallory), 'alice')
      t.equal(await who(mallory), 'nobody', 'and the planted session has ended')
      t.equal(issuer.revocations.at(-1)?.get('token'), issuer.answers[0]?.refresh_token)
    },
  )

  t.test(`${variant}: a request from another site has no session (CSRF)`, async (t) => {
    const { app, signedIn, browser } = await openidWorld(t)
    await app(kind)
    const alice = await signedIn()
    const without = (name: string) =>
      Object.fromEntries(Object.entries(SAME_ORIGIN_HEADERS).filter(([key]) => key !== name))
    const forgeries: Record<string, string>[] = [
      {},
      without('x-csrf'),
      { ...SAME_ORIGIN_HEADERS, origin: 'https://evil.example' },
      { ...SAME_ORIGIN_HEADERS, origin: 'null' },
      { ...SAME_ORIGIN_HEADERS, origin: 'http://app.example' },
      { ...SAME_ORIGIN_HEADERS, origin: `${APP}.evil.example` },
      { ...SAME_ORIGIN_HEADERS, 'sec-fetch-site': 'cross-site' },
      { ...SAME_ORIGIN_HEADERS, 'sec-fetch-site': 'same-site' },
      { ...SAME_ORIGIN_HEADERS, 'sec-fetch-site': 'none' },
      { 'x-csrf': '1' },
      { referer: `${APP}/` },
    ]
    for (const headers of forgeries) {
      const how = { method: 'POST', headers }
      const what = JSON.stringify(headers)
      t.equal((await alice.request(`${APP}/who`, how)).body, 'nobody', what)
      t.equal((await alice.request(`${APP}/token`, how)).json().code, 'CSRF', what)
      t.equal((await alice.request(`${APP}/auth/logout`, how)).status, 403, what)
    }
    t.equal(await who(alice), 'alice', 'still signed in')
    for (const headers of [SAME_ORIGIN_HEADERS, without('origin'), without('sec-fetch-site')]) {
      t.equal((await alice.request(`${APP}/who`, { method: 'POST', headers })).body, 'alice')
    }
    t.equal(
      (await browser().request(`${APP}/auth/logout`, { method: 'POST' })).status,
      403,
      'without a session too',
    )
  })

  t.test(`${variant}: no response contains a token, and scripts can read no cookie`, async (t) => {
    const { app, signedIn, issuer, time } = await openidWorld(t)
    await app(kind)
    const alice = await signedIn()
    await alice.request(`${APP}/auth/session`)
    time.tick(TOKEN_SECONDS)
    await alice.request(`${APP}/token`)
    await alice.request(`${APP}/auth/session`)
    await alice.request(`${APP}/page`)
    time.tick(8000)
    await alice.request(`${APP}/page`)
    await alice.request(`${APP}/auth/logout`, { method: 'POST', headers: SAME_ORIGIN_HEADERS })
    const appResponses = alice.seen.filter(({ url }) => url.startsWith(APP))
    const tokens = issuer.answers.flatMap((answer) => [
      answer.access_token,
      answer.refresh_token,
      answer.id_token,
      answer.id_token?.split('.')[1],
    ])
    t.ok(tokens.length === 12 && tokens.every((token) => token && token.length > 20))
    const wire = appResponses.map(({ headers, body }) => JSON.stringify(headers) + body).join('\n')
    const clear = Buffer.from(wire.replaceAll('-', '+').replaceAll('_', '/'), 'base64').toString('latin1')
    for (const token of tokens) t.notOk(wire.includes(token ?? '') || clear.includes(token ?? ''))

    const written = appResponses.flatMap(({ headers }) => headers['set-cookie'] ?? [])
    t.ok(written.length >= 4)
    for (const line of written) {
      const { name, attributes } = parseCookie(line)
      t.match(name, /^__Host-session/)
      const { path, samesite, secure, httponly, domain } = attributes
      t.same(
        { path, samesite, secure, httponly, domain },
        {
          path: '/',
          samesite: 'Lax',
          secure: '',
          httponly: '',
          domain: undefined,
        },
      )
      t.ok(line.length < 4096)
    }
    const careless = (answer: Answer) =>
      (answer.headers['set-cookie'] || answer.url.includes('/auth/')) &&
      answer.headers['cache-control'] !== 'no-store'
    t.same(appResponses.filter(careless), [], 'the response must not be cached')
    const open = appResponses.filter(
      ({ headers, url }) => url.includes('/auth/') && headers['access-control-allow-origin'],
    )
    t.same(open, [])
  })
}

t.test('a guarded route redirects a page to the sign-in and answers a script with 401', async (t) => {
  const { app, browser } = await openidWorld(t)
  await app()
  const status = async (headers: Record<string, string>, method = 'GET') =>
    (await browser().request(`${APP}/token?a=b`, { method, headers })).status
  t.equal(await status({ 'sec-fetch-mode': 'navigate', accept: 'text/html' }), 302)
  t.equal(await status({ accept: 'text/html,*/*' }), 302, 'a browser without Sec-Fetch-Mode')
  t.equal(await status({ 'sec-fetch-mode': 'cors', accept: 'text/html' }), 401)
  t.equal(await status({ accept: 'application/json' }), 401)
  t.equal(await status(SAME_ORIGIN_HEADERS, 'POST'), 401)
  const away = await browser().request(`${APP}/page?a=b`, { headers: { accept: 'text/html' } })
  t.equal(away.location, `${APP}/auth/login?return_to=%2Fpage%3Fa%3Db`)
  t.equal(away.headers['cache-control'], 'no-store')
})
