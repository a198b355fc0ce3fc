import { deflateRawSync } from 'node:zlib'
import { CompactEncrypt, importJWK, UnsecuredJWT } from 'jose'
import t, { type Test } from 'tap'
import { createRequestObjects } from '../../src/oauth/authorize/request-object.ts'
import { createClientKeys } from '../../src/oauth/client-auth/client-keys.ts'
import { OAuthError } from '../../src/oauth/errors.ts'
import type { Client } from '../../src/store/contracts/clients.ts'
import { testClock } from '../support/server/clock.ts'
import { base64url, type ClientKey, clientKey, compact } from '../support/server/jws.ts'
import { client as seeded } from '../support/server/seed.ts'
import { ISSUER } from '../support/server/server.ts'

const clock = testClock()
const now = clock.now()
const keys = {
  ES256: clientKey('ES256', 'es'),
  RS256: clientKey('RS256', 'rs'),
  PS256: clientKey('PS256', 'ps'),
  EdDSA: clientKey('EdDSA', 'ed'),
}
const jwks = { keys: Object.values(keys).map(({ jwk }) => jwk) }
const client = seeded({ id: 'signer', authMethod: 'private_key_jwt', jwks })
let fetched = 0
const clientKeys = createClientKeys({
  clock,
  async fetchJwks() {
    fetched += 1
    throw new Error('away')
  },
})
const { read } = createRequestObjects({ clientKeys, clock, issuer: ISSUER })

const REQUEST = {
  client_id: 'signer',
  response_type: 'code',
  redirect_uri: 'https://app.test/back',
  scope: 'openid',
  state: 'a b&c=d',
}

interface Change {
  readonly claims?: Record<string, unknown>
  readonly header?: Record<string, unknown>
  readonly key?: ClientKey
  /** Instead of the key’s own algorithm. */
  readonly as?: string
}

/** A valid request object, with changes; undefined removes a member. */
function object({ claims = {}, header = {}, key = keys.ES256, as = key.alg }: Change = {}): string {
  const payload = {
    iss: 'signer',
    aud: ISSUER,
    exp: now + 60,
    iat: now,
    nbf: now,
    jti: 'once',
    ...REQUEST,
    ...claims,
  }
  const head = { alg: key.alg, kid: key.kid, typ: 'oauth-authz-req+jwt', ...header }
  return compact(head, payload, key.privateKey, as)
}

async function outcome(text: string, of: Client = client): Promise<unknown> {
  try {
    return await read(of, text)
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error
    return error.code
  }
}

async function allRefused(t: Test, table: Readonly<Record<string, string>>): Promise<void> {
  for (const [label, text] of Object.entries(table)) {
    t.equal(await outcome(text), 'invalid_request_object', label)
  }
}

const wrongClaims = (claim: string, values: readonly unknown[]) =>
  Object.fromEntries(
    values.map((value) => [`${claim}: ${JSON.stringify(value)}`, object({ claims: { [claim]: value } })]),
  )

t.test(
  'a request object signed with any supported algorithm is accepted (RFC 9101 §6.2; docs/security.md K126)',
  async (t) => {
    const expected = Object.entries(REQUEST)
    for (const [alg, key] of Object.entries(keys)) t.same(await outcome(object({ key })), expected, alg)
    for (const typ of ['JWT', 'jwt', undefined, 'application/oauth-authz-req+jwt', 'OAuth-AuthZ-Req+JWT']) {
      t.same(await outcome(object({ header: { typ } })), expected, `typ ${typ}`)
    }
    for (const claims of [
      { aud: [ISSUER] },
      { aud: ['https://other.test', ISSUER] },
      { nbf: undefined, iat: undefined, jti: undefined },
      { exp: now - 29 },
      { exp: now + 3600 },
      { nbf: now + 30, iat: now + 30 },
      { sub: 'somebody' },
    ]) {
      t.same(await outcome(object({ claims })), expected, JSON.stringify(claims))
    }
  },
)

t.test(
  'the members become the parameters that a form would have sent (RFC 9101 §4, OpenID Connect Core §6.1)',
  async (t) => {
    const claims = {
      client_id: undefined,
      max_age: 0,
      claims: { userinfo: { name: { essential: true } } },
      resource: ['https://a.test', 'https://b.test'],
      prompt: '',
      nonce: null,
      extra: true,
      scope: 'openid päivää',
    }
    t.same(await outcome(object({ claims })), [
      ['response_type', 'code'],
      ['redirect_uri', REQUEST.redirect_uri],
      ['scope', 'openid päivää'],
      ['state', REQUEST.state],
      ['max_age', '0'],
      ['claims', '{"userinfo":{"name":{"essential":true}}}'],
      ['resource', 'https://a.test'],
      ['resource', 'https://b.test'],
      ['prompt', ''],
      ['extra', 'true'],
    ])
    const one = await outcome(object({ claims: { resource: 'https://a.test' } }))
    t.same(one, [...Object.entries(REQUEST), ['resource', 'https://a.test']])
  },
)

t.test('values that no form could send are refused (RFC 9101 §4; docs/security.md A16)', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`p${i}`, 'x']))
  await allRefused(t, {
    'a NUL': object({ claims: { state: 'a\0b' } }),
    'a NUL in a name': object({ claims: { 'a\0b': 'x' } }),
    'half a surrogate pair': object({ claims: { state: '\ud800' } }),
    'a list': object({ claims: { scope: ['openid'] } }),
    'a list of lists': object({ claims: { resource: [['https://a.test']] } }),
    'too many': object({ claims: many }),
    'a text that is too long': object({ claims: { username: '\u0301'.repeat(2000) } }),
    'more than 8 KiB': object({ claims: { state: 'x'.repeat(8192) } }),
  })
})

t.test(
  'unsigned, symmetrically signed and foreign request objects are refused (RFC 8725 §3.1; docs/security.md K126)',
  async (t) => {
    const payload = { iss: 'signer', aud: ISSUER, exp: now + 60, ...REQUEST }
    const publicPem = keys.RS256.publicKey.export({ type: 'spki', format: 'pem' })
    const good = object()
    const [head = '', body = '', signature = ''] = good.split('.')
    const other = { ...payload, redirect_uri: 'https://evil.test' }
    const stranger = clientKey('ES256', 'es')
    await allRefused(t, {
      'alg none': new UnsecuredJWT(payload).encode(),
      'alg none with a signature': compact({ alg: 'none' }, payload, keys.ES256.privateKey, 'ES256'),
      'alg NONE': `${base64url('{"alg":"NONE"}')}.${body}.`,
      'HS256 with the public key': compact({ alg: 'HS256', kid: 'rs' }, payload, publicPem),
      'HS256 with the JWK': compact({ alg: 'HS256', kid: 'rs' }, payload, JSON.stringify(keys.RS256.jwk)),
      'an algorithm the key is not for': object({ key: keys.RS256, as: 'PS256', header: { alg: 'PS256' } }),
      'a stranger’s key under our kid': object({ key: stranger }),
      'a stranger’s key': object({ key: clientKey('ES256', 'new') }),
      'an embedded key': object({ key: stranger, header: { kid: undefined, jwk: stranger.jwk } }),
      'other claims': `${head}.${base64url(JSON.stringify(other))}.${signature}`,
      'no signature': `${head}.${body}.`,
      'a changed signature': `${head}.${body}.${signature.slice(0, -4)}AAAA`,
      'an unknown crit': object({ header: { crit: ['x'], x: 1 } }),
      'an unencoded payload': object({ header: { b64: false, crit: ['b64'] } }),
      nothing: '',
      'three dots': '...',
      'JSON of a list': `${head}.${base64url('[]')}.${signature}`,
    })
  },
)

t.test(
  'an encrypted request object is refused, whether or not it is signed inside (RFC 9101 §6, RFC 8725 §3.6; docs/security.md P36, P38)',
  async (t) => {
    const plain = Buffer.from(JSON.stringify({ iss: 'signer', aud: ISSUER, exp: now + 60, ...REQUEST }))
    const encrypt = async (content: Buffer) =>
      new CompactEncrypt(content)
        .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM' })
        .encrypt(await importJWK({ ...keys.RS256.publicKey.export({ format: 'jwk' }) }, 'RSA-OAEP-256'))
    const bomb = base64url(deflateRawSync(Buffer.alloc(10_000_000)).subarray(0, 4000))
    await allRefused(t, {
      'claims, encrypted': await encrypt(plain),
      'a signed one, encrypted': await encrypt(Buffer.from(object())),
      'encrypted without a recipient’s key': `${base64url('{"alg":"dir","enc":"A256GCM"}')}..${base64url('iv')}.${plain.toString('base64url')}.AA`,
      'a bomb': `${base64url('{"alg":"dir","enc":"A128CBC-HS256","zip":"DEF"}')}..AA.${bomb}.AA`,
      'a signed header that says zip': object({ header: { zip: 'DEF', crit: ['zip'] } }),
    })
  },
)

t.test('a JWT of another type is refused (RFC 9101 §10.8, RFC 8725 §3.11)', async (t) => {
  const types = [
    'at+jwt',
    'client-authentication+jwt',
    'logout+jwt',
    'dpop+jwt',
    'secevent+jwt',
    '',
    1,
    null,
    {},
  ]
  await allRefused(
    t,
    Object.fromEntries(types.map((typ) => [`typ ${JSON.stringify(typ)}`, object({ header: { typ } })])),
  )
  t.equal(await outcome(object({ claims: { sub: 'signer' } })), 'invalid_request_object', 'sub is the client')
})

t.test(
  'iss, aud and the times are required and must be correct (RFC 9101 §4, RFC 7519 §4.1; docs/security.md K126)',
  async (t) => {
    const wrong: Readonly<Record<string, readonly unknown[]>> = {
      iss: [undefined, '', 'other', 'Signer', 1, null, ['signer'], ISSUER],
      aud: [
        undefined,
        null,
        '',
        [],
        [[ISSUER]],
        `${ISSUER}/`,
        `${ISSUER}/oauth2/authorize`,
        'signer',
        {},
        1,
        ['x'],
      ],
      exp: [undefined, null, now - 31, 0, -1, now + 3601, 1e300, String(now + 60), [now + 60], true],
      nbf: [now + 31, String(now), [now]],
      iat: [now + 31, String(now), [now]],
    }
    for (const [claim, values] of Object.entries(wrong)) await allRefused(t, wrongClaims(claim, values))
  },
)

t.test(
  'client_id must match, and a nested request is refused (RFC 9101 §4; docs/security.md K126)',
  async (t) => {
    await allRefused(t, {
      ...wrongClaims('client_id', ['other', '', 'Signer', 1, null, ['signer']]),
      ...wrongClaims('request', ['x', '', object(), {}, null]),
      ...wrongClaims('request_uri', ['urn:x', 'https://app.test/object', '', null]),
    })
  },
)

t.test(
  'a client without keys is told that it cannot sign (OpenID Connect Core §6.1; docs/security.md K125)',
  async (t) => {
    const keyless = seeded({ id: 'signer' })
    for (const text of [object(), new UnsecuredJWT(REQUEST).encode(), 'x']) {
      t.equal(await outcome(text, keyless), 'request_not_supported')
    }
  },
)

t.test('if the client’s keys cannot be fetched, the client is told to retry', async (t) => {
  const remote = seeded({ id: 'signer', authMethod: 'private_key_jwt', jwksUri: 'https://app.test/jwks' })
  t.equal(await outcome(object(), remote), 'temporarily_unavailable')
  t.equal(await outcome('not a JWT', remote), 'invalid_request_object')
  t.equal(fetched, 1, 'and nothing is fetched for text that is not a JWT')
})
