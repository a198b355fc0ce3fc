import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import t, { type Test } from 'tap'
import { unlimited } from '../../src/accounts/concurrency-limiter.ts'
import { checkApi } from '../../src/oauth/api-rules.ts'
import { METHOD_NAMES } from '../../src/oauth/client-auth/index.ts'
import { isGeneratedSecret } from '../../src/oauth/client-auth/secret.ts'
import { parseClientJwks } from '../../src/oauth/client-registration/client-jwks.ts'
import { addSecret, checkUserSuppliedSecret } from '../../src/oauth/client-registration/client-secrets.ts'
import {
  checkRegistration,
  createClientId,
  describeClient,
  type Registration,
} from '../../src/oauth/client-registration/registration.ts'
import {
  changedTlsSubject,
  checkTlsSubject,
  SELF_SIGNED,
  TLS_CLIENT_AUTH,
} from '../../src/oauth/client-registration/tls-subject.ts'
import { GRANT_NAMES } from '../../src/oauth/grants/index.ts'
import { systemRandom } from '../../src/system.ts'
import { selfSigned } from '../support/certificates.ts'
import { client } from '../support/server/seed.ts'

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const publicEc = { ...ec.publicKey.export({ format: 'jwk' }), kid: 'a' }
const otherEc = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
const ed = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
const rsa = (bits: number, publicExponent = 65_537) =>
  generateKeyPairSync('rsa', { modulusLength: bits, publicExponent }).publicKey.export({ format: 'jwk' })
const rsa2048 = rsa(2048)

const certificate = await selfSigned()
const tlsSubject = { kind: 'san_dns', value: 'shop.example' } as const

/** What a client needs for each method. */
const proofOf = (authMethod: string): Partial<Registration> => ({
  authMethod,
  jwks: { keys: [authMethod === SELF_SIGNED ? { ...certificate.jwk, kid: 'a' } : publicEc] },
  ...(authMethod === TLS_CLIENT_AUTH ? { tlsSubject } : {}),
})

const refuses = (t: Test, overrides: Partial<Registration>, why: RegExp, title: string) =>
  t.throws(() => checkRegistration(client(overrides)), { name: 'RegistrationError', message: why }, title)

t.test('a valid client with every grant and authentication method is accepted (RFC 7591 §2)', async (t) => {
  t.doesNotThrow(() =>
    checkRegistration(client({ grants: [...GRANT_NAMES], redirectUris: ['https://a.example'] })),
  )
  for (const authMethod of METHOD_NAMES.filter((name) => name !== 'none')) {
    t.doesNotThrow(() => checkRegistration(client(proofOf(authMethod))), authMethod)
  }
  t.doesNotThrow(() => checkRegistration(client({ authMethod: 'none', grants: ['password'] })))
  t.doesNotThrow(() => checkRegistration(client({ grants: [], introspects: ['https://orders.test'] })))
})

t.test(
  'a client id cannot look like a user id or a metadata document URL (RFC 9700 §4.15.1, RFC 9068 §5; docs/security.md E63)',
  async (t) => {
    for (const id of ['u_abc', 'U_abc']) refuses(t, { id }, /must not begin with u_/, id)
    for (const id of ['https://a.example/client', 'HTTPS://a.example']) refuses(t, { id }, /https/, id)
    for (let i = 0; i < 100; i += 1) {
      t.doesNotThrow(() => checkRegistration(client({ id: createClientId(systemRandom) })))
    }
    t.not(createClientId(systemRandom), createClientId(systemRandom))
  },
)

t.test(
  'a client id has 1 to 200 printable characters (RFC 6749 §2.3.1, App. B; docs/security.md B16)',
  async (t) => {
    for (const id of ['a', 'a:b+c%é', 'with space', 'x'.repeat(200), '-dash', 'http://x', 'user_1']) {
      t.doesNotThrow(() => checkRegistration(client({ id })), id)
    }
    const bad = ['', ' a', 'a ', 'x'.repeat(201), 'a\0b', 'a\nb', 'a\tb', 'a\u007fb', 'a\u202eb', 'a\u00a0b']
    for (const id of bad) refuses(t, { id }, /client id must be/, JSON.stringify(id))
  },
)

t.test('a client name is one visible line (RFC 6749 §10.14; docs/security.md P25)', async (t) => {
  t.doesNotThrow(() => checkRegistration(client({ name: 'Café <b>Müller</b> 🛒' })))
  for (const name of ['', ' ', 'a\nb', '\u001b[31mred', 'a\u202eb']) {
    refuses(t, { name }, /name must be/, JSON.stringify(name))
  }
})

t.test(
  'contradictory metadata is refused (RFC 7591 §2.1, RFC 7662 §2.1; docs/security.md E61)',
  async (t) => {
    refuses(t, { grants: ['implicit'] }, /grant must be one of/, 'an unknown grant')
    refuses(t, { grants: [] }, /needs at least one grant/, 'no grant')
    refuses(t, { authMethod: 'client_secret_jwt' }, /method must be one of/, 'an unknown method')
    refuses(
      t,
      { authMethod: 'none' },
      /client_credentials needs client authentication/,
      'a public client with client_credentials',
    )
    const introspects = ['https://orders.test']
    refuses(
      t,
      { authMethod: 'none', grants: ['password'], introspects },
      /introspection needs client authentication/,
      'a public resource server',
    )
    refuses(t, { authMethod: 'private_key_jwt' }, /needs the client’s public keys/, 'no keys')
    const twice = { jwks: { keys: [publicEc] }, jwksUri: 'https://a.example/jwks' }
    refuses(t, { authMethod: 'private_key_jwt', ...twice }, /cannot both be set/, 'both kinds of keys')
    for (const scope of ['', 'a b', 'a"', 'a\\', 'é']) refuses(t, { scopes: [scope] }, /scope must be/, scope)
    refuses(
      t,
      { redirectUris: ['https://ok.example', 'javascript:x'] },
      /redirect URI/,
      'one bad redirect URI',
    )
  },
)

t.test(
  'public keys of supported types can be registered, and only their public members are stored',
  async (t) => {
    const keys = [
      { ...publicEc, use: 'sig', alg: 'ES256', x5c: ['x'], ext: true },
      { ...ed, kid: 'b' },
      { ...rsa2048, kid: 'c' },
    ]
    const parsed = parseClientJwks({ keys, extra: 1 })
    t.same(Object.keys(parsed.keys[0] ?? {}).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    t.equal(parsed.keys.length, 3)
    t.doesNotThrow(() => parseClientJwks({ keys: [otherEc] }), 'a single key needs no kid')
  },
)

t.test('a private or symmetric key is refused and not repeated', async (t) => {
  const privateEc = ec.privateKey.export({ format: 'jwk' })
  const secrets = [
    privateEc,
    { kty: 'oct', k: 'c2VjcmV0' },
    { ...rsa2048, p: 'AQ' },
    { kty: 'AKP', priv: 'AQ' },
  ]
  for (const key of secrets) {
    t.throws(() => parseClientJwks({ keys: [key] }), { message: /private or symmetric/ }, String(key.kty))
  }
  try {
    parseClientJwks({ keys: [privateEc] })
  } catch (error) {
    t.notMatch((error as Error).message, String(privateEc.d))
  }
})

t.test(
  'ambiguous, malformed or weak keys are refused (RFC 7517 §4, RFC 8725 §3.1; docs/security.md H91, B24, B28)',
  async (t) => {
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })
    const cases: [string, unknown][] = [
      ['no set', publicEc],
      ['null', null],
      ['no keys', { keys: [] }],
      ['not an object', { keys: ['x'] }],
      ['the same kid twice', { keys: [publicEc, { ...otherEc, kid: 'a' }] }],
      ['two without kid', { keys: [otherEc, ed] }],
      ['another curve', { keys: [p384] }],
      ['another kind', { keys: [{ kty: 'constructor' }] }],
      ['for encryption', { keys: [{ ...publicEc, use: 'enc' }] }],
      ['for another algorithm', { keys: [{ ...publicEc, alg: 'RS256' }] }],
      ['for a MAC', { keys: [{ ...rsa2048, alg: 'HS256' }] }],
      ['a kid that is a number', { keys: [{ ...publicEc, kid: 1 }] }],
      ['no point of the curve', { keys: [{ ...publicEc, y: publicEc.x }] }],
      ['a small RSA key', { keys: [rsa(1024)] }],
      ['an RSA key with exponent 1', { keys: [{ ...rsa2048, e: 'AQ' }] }],
      ['too many', { keys: Array.from({ length: 11 }, (_, i) => ({ ...publicEc, kid: `k${i}` })) }],
    ]
    for (const [title, document] of cases) {
      t.throws(() => parseClientJwks(document), { code: 'invalid_client_metadata' }, title)
    }
    t.equal(createPublicKey({ key: rsa2048, format: 'jwk' }).asymmetricKeyDetails?.modulusLength, 2048)
  },
)

t.test(
  'a key of another kind beside a usable one is left out, as behind a jwks_uri (RFC 7517 §5)',
  async (t) => {
    const good = { ...publicEc, kid: 'good' }
    for (const other of [
      { ...publicEc, kid: 'enc', use: 'enc' },
      { ...rsa2048, kid: 'oaep', alg: 'RSA-OAEP-256' },
      {
        ...generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' }),
        kid: 'p384',
      },
      { kty: 'AKP', kid: 'pq', alg: 'ML-DSA-44', pub: 'x' },
    ]) {
      t.same(parseClientJwks({ keys: [other, good] }), { keys: [good] }, other.kid)
      t.throws(() => parseClientJwks({ keys: [other] }), { code: 'invalid_client_metadata' }, 'but not alone')
    }
    for (const bad of [
      { ...publicEc, kid: 'private', d: 'x' },
      { kty: 'oct', kid: 'mac', k: 'x' },
      { ...rsa(1024), kid: 'small' },
      { ...publicEc, kid: 'broken', y: publicEc.x },
    ]) {
      t.throws(() => parseClientJwks({ keys: [good, bad] }), { code: 'invalid_client_metadata' }, bad.kid)
    }
  },
)

t.test(
  'an outbound URI must be https, or http on this machine (Back-Channel Logout §2.5, §2.8; docs/security.md N151)',
  async (t) => {
    const called = [
      [(uri: string) => ({ jwksUri: uri }), /^JWKS URI /],
      [(uri: string) => ({ backchannelLogoutUri: uri }), /^back-channel logout URI /],
    ] as const
    for (const [member, message] of called) {
      for (const uri of [
        'https://a.example/jwks',
        'https://a.example:8443/logout?tenant=1',
        'http://localhost:1/jwks',
        'http://127.0.0.1/',
        'http://[::1]/',
      ]) {
        t.doesNotThrow(() => checkRegistration(client(member(uri))), uri)
      }
      for (const uri of [
        'http://a.example/jwks',
        'http://localhost.example/',
        'file:///x',
        'data:,x',
        'app.example:/x',
        'x',
        '',
        'https://u@a.example/',
        'https://@a.example/',
        'https:a.example',
        'https:/\\a.example',
        'https://a.example/#',
        'https://a.example/#x',
        'https://a.example/ x',
        `https://a.example/${'x'.repeat(2000)}`,
      ]) {
        refuses(t, member(uri), message, uri.slice(0, 40))
      }
    }
  },
)

t.test(
  'post-logout redirect URIs are as strict as redirect URIs (RFC 9700 §2.6, RP-Initiated Logout §3; docs/security.md C32, N147)',
  async (t) => {
    const good = ['https://a.example/left', 'http://localhost/left', 'com.example.app:/left']
    t.doesNotThrow(() => checkRegistration(client({ postLogoutRedirectUris: good })))
    for (const uri of [
      'http://a.example',
      'javascript:alert(1)',
      'https://u@a.example',
      'https://a.example/#',
      '',
    ]) {
      const why = /^post-logout redirect URI /
      refuses(t, { postLogoutRedirectUris: ['https://ok.example', uri] }, why, uri)
    }
  },
)

t.test(
  'the code grant needs a redirect URI, and only confidential clients may omit PKCE (OAuth 2.1 §7.5.1; docs/security.md D52)',
  async (t) => {
    const code = { grants: ['authorization_code'], redirectUris: ['https://a.example/cb'] }
    t.doesNotThrow(() => checkRegistration(client(code)))
    refuses(t, { ...code, redirectUris: [] }, /needs a redirect URI/, 'nowhere')
    t.doesNotThrow(() => checkRegistration(client({ redirectUris: code.redirectUris })), 'a jwks_uri alone')
    t.doesNotThrow(() => checkRegistration(client({ ...code, pkce: 'optional' })))
    t.doesNotThrow(() => checkRegistration(client({ ...code, authMethod: 'none' })))
    refuses(
      t,
      { ...code, authMethod: 'none', pkce: 'optional' },
      /PKCE can be optional only/,
      'a public client',
    )
  },
)

t.test(
  'signed requests need keys, whatever the authentication method (RFC 9101 §4, §6; docs/security.md K126)',
  async (t) => {
    refuses(t, { requireSignedRequests: true }, /signed requests need/, 'no keys')
    const code = { grants: ['authorization_code'], redirectUris: ['https://a.example/cb'] }
    for (const authMethod of METHOD_NAMES) {
      const signing = { ...code, ...proofOf(authMethod), requireSignedRequests: true }
      t.doesNotThrow(() => checkRegistration(client(signing)), authMethod)
      const fetched = { ...signing, jwks: null, jwksUri: 'https://a.example/k' }
      t.doesNotThrow(() => checkRegistration(client(fetched)), authMethod)
    }
  },
)

t.test(
  'a generated secret has 256 bits and is stored as a hash, and a user-supplied one has a minimum length (RFC 6749 §10.10; docs/security.md A12)',
  async (t) => {
    const { secret, added } = await addSecret(
      { secrets: [] },
      { overlap: 0 },
      { random: systemRandom, now: 1, hashing: unlimited },
    )
    const { hash } = added
    t.ok(isGeneratedSecret(secret ?? ''))
    t.match(hash, /^sha256:[\w-]{43}$/)
    t.notMatch(hash, secret ?? '')
    t.doesNotThrow(() => checkUserSuppliedSecret('sixteen letters!'))
    for (const short of ['', 'fifteen letters', 'x'.repeat(201), 'with a tab\tin the middle']) {
      t.throws(() => checkUserSuppliedSecret(short), { name: 'RegistrationError' }, JSON.stringify(short))
    }
  },
)

t.test('a client is shown with the names of RFC 7591, without its secret or hash', async (t) => {
  const shown = describeClient(client({ jwksUri: 'https://a.example/jwks' }))
  t.match(shown, {
    client_id: 'machine',
    client_id_issued_at: 1,
    client_name: 'a machine',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    scope: 'orders:read orders:write',
    jwks_uri: 'https://a.example/jwks',
  })
  t.notMatch(JSON.stringify(shown), /sha256|secret_?hash/i)
})

t.test(
  'an interactive client is shown with the names of OpenID Connect (RFC 7591 §2, RFC 9126 §6)',
  async (t) => {
    const plain = describeClient(client())
    t.match(plain, {
      post_logout_redirect_uris: [],
      require_pushed_authorization_requests: false,
      require_signed_request_object: false,
      first_party: false,
      require_second_factor: false,
    })
    for (const name of ['response_types', 'backchannel_logout_uri', 'backchannel_logout_session_required']) {
      t.notOk(name in plain, name)
    }
    const full = describeClient(
      client({
        grants: ['authorization_code', 'refresh_token'],
        postLogoutRedirectUris: ['https://a.example/left'],
        backchannelLogoutUri: 'https://a.example/ended',
        requirePushedRequests: true,
        requireSignedRequests: true,
        firstParty: true,
        requireSecondFactor: true,
      }),
    )
    t.match(full, {
      response_types: ['code'],
      post_logout_redirect_uris: ['https://a.example/left'],
      backchannel_logout_uri: 'https://a.example/ended',
      backchannel_logout_session_required: true,
      require_pushed_authorization_requests: true,
      require_signed_request_object: true,
      first_party: true,
      require_second_factor: true,
    })
  },
)

t.test(
  'an API has a printable ASCII identifier and at least one scope that is not a protocol scope (RFC 8707 §2)',
  async (t) => {
    for (const identifier of ['urn:example:orders', 'orders']) {
      t.doesNotThrow(() => checkApi({ identifier, scopes: ['a'] }))
    }
    for (const identifier of ['', 'https://a .example', 'https://ä.example']) {
      t.throws(() => checkApi({ identifier, scopes: ['a'] }), { message: /printable ASCII/ }, identifier)
    }
    for (const scope of ['openid', 'offline_access', 'a b', '']) {
      t.throws(() => checkApi({ identifier: 'https://a.example', scopes: [scope] }), {
        name: 'RegistrationError',
      })
    }
    t.throws(() => checkApi({ identifier: 'https://a.example', scopes: [] }), {
      message: /needs at least one scope/,
    })
  },
)

t.test(
  'an algorithm that signs for a client or an API must be one of the ring (RFC 7518 §3.1)',
  async (t) => {
    const members = [
      'idTokenSigningAlg',
      'authorizationSignedResponseAlg',
      'introspectionSignedResponseAlg',
    ] as const
    for (const member of members) {
      for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
        t.doesNotThrow(() => checkRegistration(client({ [member]: alg })), `${member} ${alg}`)
      }
      for (const alg of ['none', 'HS256', 'es256', '', 'constructor']) {
        refuses(t, { [member]: alg }, /_signed_response_alg must be one of RS256, PS256/, `${member} ${alg}`)
      }
    }
    const scopes = ['read']
    t.doesNotThrow(() => checkApi({ identifier: 'https://a.example', scopes, signingAlg: 'ES256' }))
    for (const signingAlg of ['none', 'HS256', '']) {
      t.throws(
        () => checkApi({ identifier: 'https://a.example', scopes, signingAlg }),
        /^signing_alg must be one of/,
      )
    }
  },
)

t.test('a client has a subject exactly with tls_client_auth (RFC 8705 §2.1.2)', async (t) => {
  for (const authMethod of METHOD_NAMES.filter((name) => name !== TLS_CLIENT_AUTH)) {
    refuses(t, { ...proofOf(authMethod), tlsSubject }, /only a client|not enough/, authMethod)
  }
  refuses(t, { authMethod: TLS_CLIENT_AUTH }, /needs the subject of the certificate/, 'no subject')
})

t.test(
  'a client with a self-signed certificate registers it, in the key it belongs to (RFC 8705 §2.2.2)',
  async (t) => {
    const needs = /needs the client’s certificates/
    refuses(t, { authMethod: SELF_SIGNED }, needs, 'no keys')
    refuses(t, { authMethod: SELF_SIGNED, jwks: { keys: [publicEc] } }, needs, 'a key without a certificate')
    const withX5c = (x5c: unknown, key: object = publicEc) => ({
      authMethod: SELF_SIGNED,
      jwks: parseClientJwks({ keys: [{ ...key, x5c }] }),
    })
    refuses(
      t,
      withX5c([certificate.base64], publicEc),
      needs,
      'the certificate of another key (RFC 7517 §4.7)',
    )
    for (const wrong of [
      [],
      'x',
      [certificate.cert],
      [`${certificate.base64}\n`],
      [certificate.base64, 'x'],
      [1],
    ])
      refuses(t, withX5c(wrong, certificate.jwk), needs, JSON.stringify(wrong).slice(0, 40))
    const { x5c } = parseClientJwks({ keys: [certificate.jwk] }).keys[0] ?? {}
    t.same(x5c, [certificate.base64], 'it is kept')
  },
)

t.test('a subject has the form of the entry of the certificate (RFC 8705 §2.1.2)', async (t) => {
  const good = {
    subject_dn: ['CN=shop', 'CN=Größe,O=Example\\, Inc.,C=DE', 'cn=a+sn=b'],
    san_dns: ['shop.example', 'localhost', 'xn--bcher-kva.example'],
    san_uri: ['spiffe://example.org/shop', 'https://shop.example/'],
    san_ip: ['192.0.2.1', '2001:db8::1'],
    san_email: ['shop@example.org'],
  } as const
  const bad = {
    subject_dn: ['', 'shop', '=shop', 'CN=sh\nop', `CN=${'x'.repeat(1000)}`],
    san_dns: ['', 'a b', 'http://shop.example', 'a@b.example', 'bücher.example'],
    san_uri: ['', 'shop', 'spiffe://example.org/a b'],
    san_ip: ['', '192.0.2', '192.0.2.1/24', '[2001:db8::1]'],
    san_email: ['', 'shop', 'a b@example.org', 'a@b@c'],
  } as const
  for (const kind of Object.keys(good) as (keyof typeof good)[]) {
    for (const value of good[kind]) t.doesNotThrow(() => checkTlsSubject({ kind, value }), `${kind} ${value}`)
    for (const value of bad[kind]) {
      t.throws(
        () => checkTlsSubject({ kind, value }),
        new RegExp(`^tls_client_auth_${kind} must be`),
        `${kind} ${value}`,
      )
    }
  }
})

t.test(
  'a change of the subject replaces it, removes it, or leaves it (RFC 7396, RFC 8705 §2.1.2)',
  async (t) => {
    const dns = { kind: 'san_dns', value: 'a.example' } as const
    const uri = { kind: 'san_uri', value: 'spiffe://a.example/b' } as const
    t.same(changedTlsSubject(null, { tls_client_auth_san_dns: 'a.example' }), dns)
    t.same(changedTlsSubject(dns, { tls_client_auth_san_uri: uri.value }), uri)
    t.same(changedTlsSubject(dns, { tls_client_auth_san_dns: null, tls_client_auth_san_uri: uri.value }), uri)
    t.same(changedTlsSubject(dns, {}), dns)
    t.same(changedTlsSubject(dns, { tls_client_auth_san_uri: null }), dns)
    t.equal(changedTlsSubject(dns, { tls_client_auth_san_dns: null }), null)
    t.throws(
      () => changedTlsSubject(null, { tls_client_auth_san_dns: 'a', tls_client_auth_san_ip: '::1' }),
      /cannot both be set/,
    )
  },
)
