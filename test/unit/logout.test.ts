import { UnsecuredJWT } from 'jose'
import t, { type Test } from 'tap'
import { openLiveRing } from '../../src/keys/live-ring.ts'
import { ensureRing } from '../../src/keys/rotate.ts'
import { createSigner } from '../../src/keys/signer.ts'
import { OAuthError } from '../../src/oauth/errors.ts'
import { createLogout, type LogoutStep } from '../../src/oauth/logout/logout.ts'
import { openRegistry } from '../../src/oauth/registry.ts'
import type { UserSession } from '../../src/store/contracts/user-sessions.ts'
import { session } from '../contracts/client-sessions.ts'
import { testClock } from '../support/server/clock.ts'
import { clientKey, compact } from '../support/server/jws.ts'
import { openStore, QUICK, ringDeps } from '../support/server/keys.ts'
import { client, user } from '../support/server/seed.ts'
import { ISSUER } from '../support/server/server.ts'

const clock = testClock()
const now = clock.now()
const store = await openStore()
t.teardown(() => store.db.close())
const ring = ringDeps(store, clock)
const signer = createSigner(await openLiveRing({ ...ring, store }, await ensureRing(ring, QUICK)), ISSUER)
const registry = await openRegistry({ store })
const decide = createLogout({ signer, registry, clientSessions: store.clientSessions })

const OUT = 'https://web.test/out'
const QUERY = 'https://web.test/out?a=b'
const APP = 'com.example.web:/out'
for (const id of ['web', 'other']) {
  const postLogoutRedirectUris = id === 'web' ? [OUT, QUERY, APP] : ['https://other.test/out']
  await store.clients.insert(client({ id, postLogoutRedirectUris }))
}
await store.clients.insert(client({ id: 'off', postLogoutRedirectUris: [OUT], disabled: true }))
for (const id of ['alice', 'bob']) await store.users.insert(await user({ id, username: id, roles: [] }))

const signIn = (id: string, userId: string): UserSession => ({
  id,
  userId,
  createdAt: now,
  authTime: now,
  amr: ['pwd'],
  expiresAt: now + 9000,
  idleExpiresAt: now + 900,
  endedAt: null,
  ip: '192.0.2.1',
  userAgent: '',
})
/** Alice in two browsers, and Bob in a third. She uses `web` in the first, and both clients in the second. */
const [first, second, bobs] = [signIn('here', 'alice'), signIn('there', 'alice'), signIn('bobs', 'bob')]
for (const [index, one] of [first, second, bobs].entries())
  await store.userSessions.insert(one, `secret ${index}`)
for (const [id, clientId, at] of [
  ['web-here', 'web', first],
  ['web-there', 'web', second],
  ['other-there', 'other', second],
  ['off-here', 'off', first],
] as const) {
  await store.clientSessions.insert(session({ id, clientId, userId: at.userId, userSessionId: at.id }))
}
await store.clientSessions.insert(
  session({ id: 'ended', clientId: 'web', userSessionId: first.id, revokedAt: now, revokedReason: 'x' }),
)
await store.clientSessions.insert(session({ id: 'offline', clientId: 'other' }))

const idToken = (claims: Record<string, unknown> = {}, typ = 'JWT') =>
  signer.sign(typ, {
    iss: ISSUER,
    sub: 'alice',
    aud: 'web',
    sid: 'web-here',
    iat: now,
    exp: now + 60,
    ...claims,
  })
const hint = await idToken()

type Form = Record<string, string>
const pairs = (form: Form) => Object.entries(form)

/** The outcome in a line: the step, the client that the page names, and the redirect URI. */
async function outcome(form: Form, current: UserSession | null = first): Promise<string> {
  try {
    const step: LogoutStep = await decide(pairs(form), current)
    if (step.step !== 'not-signed-in' && step.userSession !== current) throw new Error('another sign-in')
    return `${step.step} ${step.client?.id ?? '-'} ${step.redirect ?? '-'}`
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error
    return error.code
  }
}

async function all(t: Test, table: Readonly<Record<string, readonly [Form, string, (UserSession | null)?]>>) {
  for (const [label, [form, expected, current = first]] of Object.entries(table)) {
    t.equal(await outcome(form, current), expected, label)
  }
}

t.test(
  'an id_token_hint for this browser’s session signs out without confirmation (RP-Initiated Logout §2; docs/security.md N146)',
  async (t) => {
    const expired = await idToken({ iat: now - 9000, exp: now - 8000 })
    await all(t, {
      'the session itself': [{ id_token_hint: hint }, 'sign-out web -'],
      'with the client’s id': [{ id_token_hint: hint, client_id: 'web' }, 'sign-out web -'],
      'when it has expired': [{ id_token_hint: expired }, 'sign-out web -'],
      'when the client has ended its session': [
        { id_token_hint: await idToken({ sid: 'ended' }) },
        'sign-out web -',
      ],
      'of another session of the user, at a client used in this browser': [
        { id_token_hint: await idToken({ sid: 'web-there' }) },
        'sign-out web -',
      ],
      'of a session that was deleted long ago': [
        { id_token_hint: await idToken({ sid: 'pruned' }) },
        'sign-out web -',
      ],
      'without sid': [{ id_token_hint: await idToken({ sid: undefined }) }, 'sign-out web -'],
      'with a list of one': [{ id_token_hint: await idToken({ aud: ['web'] }) }, 'sign-out web -'],
      'with every optional parameter': [
        { id_token_hint: hint, logout_hint: 'alice', ui_locales: 'de', state: 's', extra: 'x' },
        'sign-out web -',
      ],
    })
  },
)

t.test(
  'an id_token_hint that does not match this browser’s session requires confirmation (RP-Initiated Logout §2, §6; docs/security.md N146)',
  async (t) => {
    const other = { aud: 'other', sid: 'other-there' }
    await all(t, {
      nothing: [{}, 'confirm - -'],
      'a client’s name alone': [{ client_id: 'web' }, 'confirm web -'],
      'an unknown client': [{ client_id: 'nobody' }, 'confirm - -'],
      'no name at all': [{ client_id: 'a\u0000b' }, 'confirm - -'],
      'another user is signed in': [{ id_token_hint: hint }, 'confirm web -', bobs],
      'another user’s token': [{ id_token_hint: await idToken({ sub: 'bob' }) }, 'confirm web -'],
      'a client not used in this browser': [{ id_token_hint: await idToken(other) }, 'confirm other -'],
      'a session of no browser': [
        { id_token_hint: await idToken({ ...other, sid: 'offline' }) },
        'confirm other -',
      ],
      'another client’s session of this browser': [
        { id_token_hint: await idToken({ aud: 'other', sid: 'web-here' }) },
        'confirm other -',
      ],
    })
  },
)

t.test(
  'an invalid id_token_hint requires confirmation and gives no redirect (RP-Initiated Logout §3, §4; docs/security.md N147)',
  async (t) => {
    const claims = { iss: ISSUER, sub: 'alice', aud: 'web', sid: 'web-here', iat: now, exp: now + 60 }
    const [head = '', body = '', signature = ''] = hint.split('.')
    const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString())
    const stranger = clientKey('ES256', kid)
    for (const [label, text] of Object.entries({
      'alg none': new UnsecuredJWT(claims).encode(),
      'signed by another': compact({ alg: 'ES256', kid, typ: 'JWT' }, claims, stranger.privateKey),
      'signed with a client secret': compact({ alg: 'HS256', typ: 'JWT' }, claims, 'secret'.repeat(8)),
      changed: `${head}.${body.slice(0, -2)}AA.${signature}`,
      'an access token': await idToken({}, 'at+jwt'),
      'a logout token': await idToken({}, 'logout+jwt'),
      'of another issuer': await idToken({ iss: 'https://other.test' }),
      'for two clients': await idToken({ aud: ['web', 'other'] }),
      'of a deleted client': await idToken({ aud: 'gone' }),
      'of a disabled client': await idToken({ aud: 'off', sid: 'off-here' }),
      garbage: 'x',
    })) {
      const form = { id_token_hint: text, post_logout_redirect_uri: OUT, state: 's' }
      t.equal(await outcome(form), 'confirm - -', label)
      t.equal(await outcome(form, null), 'not-signed-in - -', `${label}, signed out`)
    }
  },
)

t.test(
  'the browser is redirected to the registered URI with the state unchanged (RP-Initiated Logout §3, RP-Initiated Logout §2; docs/security.md N147, N148)',
  async (t) => {
    const to = (uri: string, more: Form = {}) => ({
      id_token_hint: hint,
      post_logout_redirect_uri: uri,
      ...more,
    })
    await all(t, {
      'without state': [to(OUT), `sign-out web ${OUT}`],
      'with state': [to(OUT, { state: 'a b&c=d#e' }), `sign-out web ${OUT}?state=a+b%26c%3Dd%23e`],
      'an address with a query': [to(QUERY, { state: 's' }), `sign-out web ${QUERY}&state=s`],
      'an app’s own scheme': [to(APP, { state: 's' }), `sign-out web ${APP}?state=s`],
      'no one signed in': [to(OUT, { state: 's' }), `not-signed-in web ${OUT}?state=s`, null],
      'after the question': [to(OUT, { state: 's' }), `confirm web ${OUT}?state=s`, bobs],
      'state alone': [{ id_token_hint: hint, state: 's' }, 'sign-out web -'],
      'an empty address': [to(''), 'sign-out web -'],
    })
  },
)

t.test(
  'only an exactly registered URI is redirected to (RP-Initiated Logout §3, RP-Initiated Logout §4; docs/security.md N147, P24)',
  async (t) => {
    for (const uri of [
      'https://evil.test/out',
      'https://other.test/out',
      `${OUT}/`,
      `${OUT}?`,
      `${OUT}?x=y`,
      `${QUERY}&c=d`,
      `${OUT}#`,
      `${OUT}#x`,
      `${OUT}/../out`,
      OUT.toUpperCase(),
      OUT.replace('https', 'http'),
      OUT.replace('web.test', 'web.test:443'),
      OUT.replace('web.test', 'web.test.evil.test'),
      OUT.replace('web.test', 'web.test@evil.test'),
      OUT.replace('web.test', 'evil.test\\@web.test'),
      OUT.replace('/out', '/%6Fut'),
      `//web.test/out`,
      '/out',
      'javascript:alert(1)',
      'data:text/html,x',
      ` ${OUT}`,
      `${OUT}\n`,
    ]) {
      const form = { id_token_hint: hint, post_logout_redirect_uri: uri, state: 's' }
      for (const current of [first, bobs, null]) t.equal(await outcome(form, current), 'invalid_request', uri)
    }
  },
)

t.test(
  'without an id_token_hint, client_id allows a redirect to a registered URI once the user has confirmed (RP-Initiated Logout §2, §3; docs/security.md N147)',
  async (t) => {
    const to = (client_id: string, uri: string, more: Form = {}): Form => ({
      client_id,
      post_logout_redirect_uri: uri,
      ...more,
    })
    await all(t, {
      registered: [to('web', OUT), `confirm web ${OUT}`],
      'with a query': [to('web', QUERY, { state: 's' }), `confirm web ${QUERY}&state=s`],
      'an app': [to('web', APP, { state: 's' }), `confirm web ${APP}?state=s`],
      'signed out': [to('web', OUT, { state: 's' }), `not-signed-in web ${OUT}?state=s`, null],
      'of another client': [to('other', OUT), 'invalid_request'],
      'not registered': [to('web', 'https://evil.test/out'), 'invalid_request'],
      'not registered, signed out': [to('web', 'https://evil.test/out'), 'invalid_request', null],
      script: [to('web', 'javascript:alert(1)'), 'invalid_request'],
      'a client that is disabled': [to('off', OUT), 'confirm - -'],
      'an unknown client': [to('nobody', OUT), 'confirm - -'],
      'an unknown client, signed out': [to('nobody', OUT), 'not-signed-in - -', null],
      'an id_token_hint that is not valid': [to('web', OUT, { id_token_hint: 'x.y.z' }), 'confirm web -'],
      'an unsigned id_token_hint, signed out': [
        to('web', OUT, {
          id_token_hint: new UnsecuredJWT({ iss: ISSUER, sub: 'alice', aud: 'web' }).encode(),
        }),
        'not-signed-in web -',
        null,
      ],
      'no client_id': [{ post_logout_redirect_uri: OUT }, 'confirm - -'],
    })
  },
)

t.test(
  'client_id must be the client of the id_token_hint, and no parameter may be repeated (RP-Initiated Logout §2, RFC 6749 §3.1; docs/security.md N148, A3)',
  async (t) => {
    for (const client_id of ['other', 'WEB', 'web ', 'nobody', 'a\u0000b']) {
      const form = { id_token_hint: hint, client_id, post_logout_redirect_uri: OUT }
      for (const current of [first, null]) t.equal(await outcome(form, current), 'invalid_request', client_id)
    }
    for (const name of ['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state', 'logout_hint']) {
      const twice = [...pairs({ id_token_hint: hint }), [name, 'x'], [name, 'x']] as [string, string][]
      await t.rejects(decide(twice, first), { code: 'invalid_request' }, name)
    }
  },
)
