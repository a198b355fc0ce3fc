import t from 'tap'
import { assertionServer } from '../support/server/client-assertions.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { refused } from '../support/server/error-responses.ts'
import { asserting, base64url, clientKey } from '../support/server/jws.ts'
import { post } from '../support/server/requests.ts'
import { ISSUER } from '../support/server/server.ts'

const { server, keys, register, make, accepted, allRefused } = await assertionServer(t)

t.test('a valid client assertion is accepted for every supported algorithm (RFC 7523 §2.2)', async (t) => {
  for (const [alg, key] of Object.entries(keys)) {
    await register(`by ${alg}`, [key.jwk])
    await accepted(t, make({ client: `by ${alg}`, key }), alg)
  }
  for (const url of ['/oauth2/revoke', '/oauth2/introspect']) await accepted(t, make(), url, url)
  await accepted(t, make({ header: { typ: undefined } }), 'without typ')
  await accepted(t, make({ header: { typ: 'client-authentication+jwt' } }), 'with its own typ')
  await accepted(t, make({ header: { typ: 'application/client-authentication+JWT' } }), 'as a media type')
  await accepted(t, make({ claims: { iat: undefined } }), 'without iat')
  await accepted(t, make({ claims: { extra: { a: [1] } } }), 'with other claims')
})

t.test('any registered key of the client may sign, with or without a kid (RFC 7515 §4.1.4)', async (t) => {
  const [a, b] = [clientKey('ES256', 'a'), clientKey('ES256', 'b')]
  await register('rotating', [a.jwk, b.jwk])
  for (const key of [a, b]) {
    await accepted(t, make({ client: 'rotating', key }), 'with its kid')
    await accepted(t, make({ client: 'rotating', key, header: { kid: undefined } }), 'without')
  }
  const stranger = clientKey('ES256', 'c')
  await allRefused(t, {
    'an unknown key': make({ client: 'rotating', key: stranger, header: { kid: undefined } }),
    'an unknown key under a known kid': make({ client: 'rotating', key: stranger, header: { kid: 'a' } }),
    'the other kid': make({ client: 'rotating', key: a, header: { kid: 'b' } }),
  })
})

t.test(
  'every claim of an assertion is required and must be correct (RFC 7523 §3; docs/security.md B21, P35)',
  async (t) => {
    const now = server.clock.now()
    const wrong: Record<string, readonly unknown[]> = {
      iss: [undefined, '', 'other', 'Signer', 'signer ', 1, null, ['signer'], { a: 1 }, ISSUER],
      sub: [undefined, '', 'other', 'Signer', 'signer ', 1, null, ['signer'], { a: 1 }, 'a\0b', '\ud800'],
      exp: [undefined, now - 31, now - 300, 0, -1, null, String(now + 60), '', [now + 60], true],
      jti: [undefined, '', 1, null, ['x'], { a: 1 }],
      nbf: [now + 61, String(now), null, [now]],
      iat: [now + 61, String(now), null, [now]],
    }
    for (const [claim, values] of Object.entries(wrong)) {
      const table = Object.fromEntries(
        values.map((value) => [`${claim}: ${JSON.stringify(value)}`, make({ claims: { [claim]: value } })]),
      )
      await allRefused(t, table)
    }
  },
)

t.test(
  'the audience must be the issuer, as a single string (rfc7523bis, RFC 7523 §3, draft-ietf-oauth-rfc7523bis; docs/security.md B22)',
  async (t) => {
    const wrong = [
      undefined,
      null,
      '',
      1,
      {},
      [ISSUER],
      [ISSUER, 'https://other.test'],
      [],
      [[ISSUER]],
      `${ISSUER}/`,
      ISSUER.toUpperCase(),
      `${ISSUER}/oauth2/token`,
      `${ISSUER}/oauth2/introspect`,
      ISSUER.replace('https', 'http'),
      'https://other.test',
      'signer',
    ]
    await allRefused(
      t,
      Object.fromEntries(wrong.map((aud) => [`aud: ${JSON.stringify(aud)}`, make({ claims: { aud } })])),
    )
  },
)

t.test(
  'a client with --accept-endpoint-audience may use the endpoint it calls as the audience (RFC 7523 §3, draft-ietf-oauth-rfc7523bis; docs/security.md B22)',
  async (t) => {
    const aim = (audience: unknown) => make({ client: 'lenient', claims: { aud: audience } })
    await accepted(t, aim(ISSUER), 'the issuer')
    for (const path of ['/oauth2/token', '/oauth2/revoke', '/oauth2/introspect']) {
      await accepted(t, aim(`${ISSUER}${path}`), path, path)
    }
    await allRefused(t, {
      'another endpoint': aim(`${ISSUER}/oauth2/revoke`),
      'a trailing slash': aim(`${ISSUER}/oauth2/token/`),
      'a query': aim(`${ISSUER}/oauth2/token?x=1`),
      'a list': aim([`${ISSUER}/oauth2/token`]),
      elsewhere: aim('https://other.test/oauth2/token'),
    })
  },
)

t.test(
  'clock skew of a few seconds is tolerated, a minute is not (FAPI 2.0 §5.3.2.1; docs/security.md B26)',
  async (t) => {
    const now = server.clock.now()
    await accepted(t, make({ claims: { nbf: now + 8, iat: now + 8 } }), '8 s ahead')
    await accepted(t, make({ claims: { exp: now - 8 } }), '8 s late')
    await accepted(t, make({ claims: { exp: now + 60.5, iat: now + 0.25 } }), 'fractions (RFC 7519 §2)')
    await allRefused(t, {
      'nbf 61 s ahead': make({ claims: { nbf: now + 61 } }),
      'iat 61 s ahead': make({ claims: { iat: now + 61 } }),
      'expired for 5 minutes': make({ claims: { exp: now - 300, iat: now - 360 } }),
      'expires in a day': make({ claims: { exp: now + 86_400 } }),
      'expires in a million years': make({ claims: { exp: 1e15 } }),
      'never expires': make({ claims: { exp: 1e308 * 10 } }),
    })
    const endless = `${base64url('{"alg":"ES256","kid":"es"}')}.${base64url(
      `{"iss":"signer","sub":"signer","aud":"${ISSUER}","jti":"x","exp":1e999}`,
    )}`
    await allRefused(t, { 'exp past every number': `${endless}.${base64url(Buffer.alloc(64))}` })
  },
)

t.test('client_assertion_type and client_assertion must both be present (RFC 7521 §4.2)', async (t) => {
  const good = make()
  const form = { grant_type: 'client_credentials' }
  await writesNothing(t, server, async () => {
    for (const wrong of [
      { client_assertion: good },
      { ...asserting(''), client_assertion_type: asserting('').client_assertion_type ?? '' },
      { client_assertion: good, client_assertion_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer' },
      {
        client_assertion: good,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer',
      },
      { client_assertion: good, client_assertion_type: 'jwt' },
    ]) {
      refused(t, await post(server, '/oauth2/token', { ...form, ...wrong }), { error: 'invalid_request' })
    }
  })
  await accepted(t, good, 'and both are accepted')
})
