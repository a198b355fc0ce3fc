import { generateKeyPairSync } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { hashGeneratedSecret, isGeneratedSecret } from '../../src/oauth/client-auth/secret.ts'
import { type Cli, startedCli, testCli } from '../support/processes/cli.ts'
import { imageServer, pngImage } from '../support/server/image-server.ts'
import { withSecretHash } from '../support/server/seed.ts'

const API = 'https://orders.example'
const USER_SUPPLIED = 'a user-supplied secret value'
const MACHINE = ['clients', 'create', '--name', 'Robot', '--grant', 'client_credentials']
const SHOP = [...MACHINE, '--id', 'shop']

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })

function jwksFile(cli: Cli, keys: unknown[], name = 'keys.json'): string {
  writeFileSync(join(cli.dir, name), JSON.stringify({ keys }))
  return name
}

const stored = (cli: Cli, id: string) =>
  cli.withStore(async (store) => withSecretHash(await store.clients.find(id)))

t.test('creating a client prints its secret and metadata names (RFC 7591 §3.2.1)', async (t) => {
  const cli = await startedCli(t)
  const created = await cli.json([...MACHINE, '--scope', 'a b', '--scope', 'c', '--allow-unowned'])
  const { client_id: id, client_secret: secret, ...rest } = created as Record<string, string>
  t.match(id, /^c_[\w-]{27}$/)
  t.ok(isGeneratedSecret(secret ?? ''))
  t.same(rest, {
    client_secret_expires_at: 0,
    client_id_issued_at: cli.clock.now(),
    client_name: 'Robot',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    post_logout_redirect_uris: [],
    scope: 'a b c',
    pkce: 'optional',
    require_pushed_authorization_requests: false,
    require_signed_request_object: false,
    first_party: false,
    require_second_factor: false,
    access_token_ttl: null,
    claims_in_id_token: true,
    roles_claim: 'roles',
    accept_endpoint_audience: false,
    introspects: [],
    dpop_bound_access_tokens: false,
    tls_client_certificate_bound_access_tokens: false,
    disabled: false,
  })
  t.match((await stored(cli, id ?? ''))?.secretHash, /^sha256:/)
  const shown = await cli.json(['clients', 'show', id ?? ''])
  t.notOk('client_secret' in shown, 'the secret is shown only at creation')
  t.same(await cli.json(['clients', 'list']), [shown])
  t.match(cli.logger.audits('client.changed'), [{ actor: 'operator:tester', target: id, action: 'created' }])
})

t.test('every client option is stored in its field', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['apis', 'create', API, '--scope', 'read'])
  const created = await cli.json([
    ...['clients', 'create', '--name', 'Shop', '--id', 'shop', '--grant', 'password refresh_token'],
    ...[
      '--scope',
      'read',
      '--redirect-uri',
      'https://shop.example/cb',
      '--redirect-uri',
      'http://localhost/cb',
    ],
    ...['--auth', 'client_secret_post', '--pkce', 'optional', '--access-token-ttl', '2m'],
    ...['--accept-endpoint-audience', '--introspects', API],
  ])
  t.match(created, {
    client_id: 'shop',
    token_endpoint_auth_method: 'client_secret_post',
    grant_types: ['password', 'refresh_token'],
    redirect_uris: ['https://shop.example/cb', 'http://localhost/cb'],
    scope: 'read',
    pkce: 'optional',
    access_token_ttl: 120,
    accept_endpoint_audience: true,
    introspects: [API],
  })
})

const CODE = [
  ...['clients', 'create', '--name', 'Shop', '--id', 'shop', '--grant', 'authorization_code'],
  ...['--redirect-uri', 'https://shop.example/cb'],
]

t.test('every option for interactive clients is stored, and can be reset', async (t) => {
  const cli = await startedCli(t)
  const file = jwksFile(cli, [ec.publicKey.export({ format: 'jwk' })])
  const created = await cli.json([
    ...CODE,
    ...['--auth', 'client_secret_basic', '--jwks-file', file],
    ...['--post-logout-redirect-uri', 'https://shop.example/left'],
    ...['--post-logout-redirect-uri', 'https://shop.example/bye'],
    ...['--backchannel-logout-uri', 'https://shop.example/ended'],
    ...['--first-party', '--require-pushed-requests', '--require-signed-requests', '--require-second-factor'],
    ...['--no-claims-in-id-token', '--roles-claim', 'groups'],
  ])
  t.match(created, {
    token_endpoint_auth_method: 'client_secret_basic',
    client_secret: /^ktcs_/,
    jwks: { keys: [{ kty: 'EC' }] },
    grant_types: ['authorization_code'],
    response_types: ['code'],
    post_logout_redirect_uris: ['https://shop.example/left', 'https://shop.example/bye'],
    backchannel_logout_uri: 'https://shop.example/ended',
    backchannel_logout_session_required: true,
    first_party: true,
    require_pushed_authorization_requests: true,
    require_signed_request_object: true,
    require_second_factor: true,
    claims_in_id_token: false,
    roles_claim: 'groups',
  })
  const before = await stored(cli, 'shop')
  await cli.json(['clients', 'update', 'shop', '--name', 'Shop'])
  t.same(await stored(cli, 'shop'), before, 'fields that are not given are unchanged')

  const { code, err } = await cli.run([
    ...['clients', 'update', 'shop', '--no-first-party', '--no-require-pushed-requests'],
    ...['--no-require-signed-requests', '--no-require-second-factor'],
    ...['--claims-in-id-token', '--roles-claim', 'roles'],
    ...['--no-backchannel-logout-uri', '--no-post-logout-redirect-uri'],
  ])
  t.equal(code, 0)
  t.match(
    err,
    'note: after logout browsers are no longer sent to https://shop.example/left, https://shop.example/bye\n',
  )
  t.same(await stored(cli, 'shop'), {
    ...before,
    claimsInIdToken: true,
    rolesClaim: 'roles',
    firstParty: false,
    requirePushedRequests: false,
    requireSignedRequests: false,
    requireSecondFactor: false,
    backchannelLogoutUri: null,
    postLogoutRedirectUris: [],
    revision: 2,
  })
  const requirements = ['--require-pushed-requests', '--require-signed-requests', '--require-second-factor']
  const again = await cli.run(['clients', 'update', 'shop', ...requirements])
  t.match(again.err, 'note: authorization requests that are not pushed are now refused\n')
  t.match(again.err, 'note: authorization requests that are not signed are now refused\n')
  t.match(again.err, 'note: users of this client must now sign in with a second factor\n')
})

t.test('the options about signatures and bound tokens are stored, and can be reset', async (t) => {
  const cli = testCli(t)
  await cli.start({ ALGORITHMS: 'RS256 PS256 ES256 EdDSA' })
  const created = await cli.json([
    ...[...MACHINE, '--id', 'bank', '--require-dpop', '--require-mtls-bound'],
    ...['--id-token-signing-alg', 'ES256', '--authorization-signed-response-alg', 'PS256'],
    ...['--introspection-signed-response-alg', 'EdDSA'],
  ])
  t.match(created, {
    dpop_bound_access_tokens: true,
    tls_client_certificate_bound_access_tokens: true,
    id_token_signed_response_alg: 'ES256',
    authorization_signed_response_alg: 'PS256',
    introspection_signed_response_alg: 'EdDSA',
  })
  const before = await stored(cli, 'bank')
  await cli.json([
    ...['clients', 'update', 'bank', '--no-require-dpop', '--no-require-mtls-bound'],
    ...['--no-id-token-signing-alg', '--no-authorization-signed-response-alg'],
    ...['--no-introspection-signed-response-alg', '--no-profile'],
  ])
  t.same(await stored(cli, 'bank'), {
    ...before,
    requireDpop: false,
    requireMtlsBound: false,
    idTokenSigningAlg: null,
    authorizationSignedResponseAlg: null,
    introspectionSignedResponseAlg: null,
    revision: 2,
  })
  const { err } = await cli.run(['clients', 'update', 'bank', '--require-dpop', '--require-mtls-bound'])
  t.match(err, 'note: token requests without a DPoP proof are now refused\n')
  t.match(err, 'note: token requests without a client certificate are now refused\n')
})

t.test('algorithms and subjects of certificates that cannot be are refused (RFC 8705 §2.1.2)', async (t) => {
  const cli = await startedCli(t)
  const unknown = await cli.run([...MACHINE, '--id-token-signing-alg', 'HS256'])
  t.equal(unknown.code, 2)
  t.match(unknown.err, /Allowed choices are RS256, PS256, ES256, EdDSA/)
  const two = await cli.run([
    ...MACHINE,
    '--tls-san-dns',
    'a.example',
    '--tls-san-uri',
    'spiffe://a.example/b',
  ])
  t.equal(two.code, 2)
  t.match(two.err, /cannot be used with option/)
  const without = await cli.run([...MACHINE, '--tls-san-dns', 'a.example'])
  t.equal(without.code, 2)
  t.match(without.err, /only a client that authenticates with tls_client_auth has a certificate/)
  t.same(await cli.json(['clients', 'list']), [])
})

t.test(
  'keys for signed requests can be combined with any authentication method (RFC 9101 §4, §6; docs/security.md K126)',
  async (t) => {
    const cli = await startedCli(t)
    const file = jwksFile(cli, [ec.publicKey.export({ format: 'jwk' })])
    const basic = { token_endpoint_auth_method: 'client_secret_basic' }
    await cli.json(CODE)
    const auth = ['--auth', 'client_secret_basic']
    t.match(await cli.json(['clients', 'update', 'shop', '--jwks-file', file, ...auth]), {
      ...basic,
      jwks: { keys: [{ kty: 'EC' }] },
    })
    t.match(await stored(cli, 'shop'), { secretHash: /^sha256:/ }, 'the secret is unchanged')
    const withUri = await cli.json(['clients', 'update', 'shop', '--jwks-uri', 'https://a.example/k'])
    t.match(
      withUri,
      { ...basic, jwks_uri: 'https://a.example/k' },
      'new keys do not change the authentication method',
    )
    const app = ['--id', 'app', '--auth', 'none', '--jwks-file', file, '--require-signed-requests']
    t.match(await cli.json([...CODE, ...app]), { token_endpoint_auth_method: 'none', client_id: 'app' })
  },
)

t.test(
  'options that no interactive client can have are usage errors (RFC 9700 §2.6, RFC 7636 §4.4.1; docs/security.md C32, D52)',
  async (t) => {
    const cli = await startedCli(t)
    for (const options of [
      ['--auth', 'none', '--pkce', 'optional'],
      ['--roles-claim', 'email'],
      ['--roles-claim', ''],
      ['--require-signed-requests'],
      ['--backchannel-logout-uri', 'http://shop.example/ended'],
      ['--backchannel-logout-uri', ''],
      ['--post-logout-redirect-uri', 'javascript:alert(1)'],
      ['--post-logout-redirect-uri', ''],
      ['--jwks-uri', ''],
      ['--no-first-party'],
    ]) {
      t.equal((await cli.run([...CODE, ...options])).code, 2, options.join(' '))
    }
    const withoutRedirectUri = ['clients', 'create', '--name', 'Shop', '--grant', 'authorization_code']
    const { code, err } = await cli.run(withoutRedirectUri)
    t.equal(code, 2)
    t.match(err, 'authorization_code needs a redirect URI')
    t.same(await cli.json(['clients', 'list']), [])
    await cli.json(CODE)
    const publicByDefault = await cli.json(['clients', 'update', 'shop', '--auth', 'none'])
    t.match(publicByDefault, { pkce: 'required' }, 'the default depends on the authentication method')
    await cli.json(['clients', 'update', 'shop', '--auth', 'client_secret_basic', '--pkce', 'optional'])
    const publicClient = await cli.run(['clients', 'update', 'shop', '--auth', 'none'])
    t.equal(publicClient.code, 2, 'an update is refused too')
    t.match(publicClient.err, 'PKCE can be optional only')
  },
)

t.test(
  '--env writes the credentials to a file that only its owner can read (docs/security.md R3)',
  async (t) => {
    const cli = await startedCli(t)
    const file = (name: string) => join(cli.dir, name)
    const { code, out, err } = await cli.run([...SHOP, '--env', 'shop.env'])
    t.equal(code, 0)
    const text = readFileSync(file('shop.env'), 'utf8')
    t.match(text, /^CLIENT_ID=shop\nCLIENT_SECRET=ktcs_[\w-]+\n$/)
    t.equal(statSync(file('shop.env')).mode & 0o777, 0o600)
    t.match(out, /^client_id +shop$/m)
    t.notMatch(out + err, 'ktcs_', 'the secret is printed nowhere')
    t.match(err, `note: the credentials are in ${file('shop.env')}\n`)
    const parsed = parseEnv(text)
    t.equal((await stored(cli, 'shop'))?.secretHash, hashGeneratedSecret(parsed.CLIENT_SECRET ?? ''))

    await cli.json([...MACHINE, '--id', "it's $HOME `x`", '--env', file('special.env')])
    const special = readFileSync(file('special.env'), 'utf8')
    t.match(special, /^CLIENT_ID='it'\\''s \$HOME `x`'\nCLIENT_SECRET=/, 'a shell reads it unchanged')
    const publicClient = [
      'clients',
      'create',
      '--id',
      'app',
      '--name',
      'App',
      '--grant',
      'password',
      '--auth',
      'none',
    ]
    t.notOk('client_secret' in (await cli.json([...publicClient, '--env', 'app.env'])))
    t.equal(readFileSync(file('app.env'), 'utf8'), 'CLIENT_ID=app\n')
  },
)

t.test(
  '--env never replaces a file, and no client remains without its file (docs/security.md R3)',
  async (t) => {
    const cli = await startedCli(t)
    const file = join(cli.dir, 'shop.env')
    writeFileSync(file, 'CLIENT_SECRET=the only copy\n')
    const taken = await cli.run([...SHOP, '--env', 'shop.env'])
    t.match(taken, { code: 1, err: `${file} already exists: name another file, or move it away` })
    t.equal(readFileSync(file, 'utf8'), 'CLIENT_SECRET=the only copy\n')
    const nowhere = await cli.run([...SHOP, '--env', 'none/shop.env'])
    t.match(nowhere, { code: 1, err: /shop\.env cannot be created \(ENOENT\)/ })
    t.same(await cli.json(['clients', 'list']), [])
    await cli.json([...SHOP, '--env', 'first.env'])
    const again = await cli.run([...SHOP, '--env', 'second.env'])
    t.match(again, { code: 1, err: 'the client shop already exists' })
    t.same(
      readdirSync(cli.dir)
        .filter((name) => name.includes('.env'))
        .sort(),
      ['first.env', 'shop.env'],
      'nor a file without its client',
    )
  },
)

t.test(
  'a user-supplied secret is read from standard input, stored as argon2id and not printed',
  async (t) => {
    const cli = await startedCli(t)
    const { out, code } = await cli.run([...SHOP, '--secret-stdin', '--json'], {
      input: `${USER_SUPPLIED}\n`,
    })
    t.equal(code, 0)
    t.notMatch(out, 'client_secret"')
    t.match((await stored(cli, 'shop'))?.secretHash, /^\$argon2id\$/)
    for (const input of [
      '',
      '\n',
      'too short',
      `${USER_SUPPLIED}\nand more`,
      Buffer.from(`${USER_SUPPLIED}\xff`, 'latin1'),
      'x'.repeat(70_000),
    ]) {
      const refused = await cli.run([...MACHINE, '--secret-stdin'], { input })
      t.equal(refused.code, 2, String(input).slice(0, 20))
    }
    const withoutSecret = [
      ...MACHINE,
      '--auth',
      'private_key_jwt',
      '--jwks-uri',
      'https://a.example/k',
      '--secret-stdin',
    ]
    t.equal(
      (await cli.run(withoutSecret, { input: USER_SUPPLIED })).code,
      2,
      'only a client with a secret has one',
    )
    t.equal((await cli.json<unknown[]>(['clients', 'list'])).length, 1)
  },
)

t.test('providing keys makes a private_key_jwt client, and only public keys are accepted', async (t) => {
  const cli = await startedCli(t)
  const file = jwksFile(cli, [ec.publicKey.export({ format: 'jwk' })])
  const created = await cli.json([...SHOP, '--jwks-file', file])
  t.match(created, { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [{ kty: 'EC' }] } })
  t.notOk('client_secret' in created)
  t.equal((await stored(cli, 'shop'))?.secretHash, null)

  const secret = ec.privateKey.export({ format: 'jwk' })
  const withPrivateKey = await cli.run([...MACHINE, '--jwks-file', jwksFile(cli, [secret], 'private.json')])
  t.equal(withPrivateKey.code, 2)
  t.match(withPrivateKey.err, 'private or symmetric')
  t.notMatch(withPrivateKey.err, String(secret.d))

  const windows = readFileSync(join(cli.dir, file), 'utf8').replaceAll(',', ',\r\n')
  writeFileSync(join(cli.dir, 'windows.json'), `\uFEFF${windows}\r\n`)
  await cli.json([...MACHINE, '--id', 'windows', '--jwks-file', 'windows.json'])
  writeFileSync(join(cli.dir, 'broken.json'), '{')
  writeFileSync(join(cli.dir, 'wide.json'), Buffer.from(windows, 'utf16le'))
  for (const options of [
    ['--jwks-file', 'missing.json'],
    ['--jwks-file', 'broken.json'],
    ['--jwks-file', 'wide.json'],
    ['--jwks-file', file, '--jwks-uri', 'https://a.example/k'],
    ['--jwks-uri', 'http://a.example/k'],
    ['--auth', 'private_key_jwt'],
  ]) {
    t.equal((await cli.run([...MACHINE, ...options])).code, 2, options.join(' '))
  }
  t.match(await cli.json([...MACHINE, '--jwks-uri', 'https://a.example/k']), {
    jwks_uri: 'https://a.example/k',
  })
})

t.test(
  'invalid client options are usage errors and create nothing (RFC 6749 §4.4, RFC 9700 §4.15.1; docs/security.md E61, E63)',
  async (t) => {
    const cli = await startedCli(t)
    for (const options of [
      ['--name', 'x'],
      ['--grant', 'client_credentials'],
      ['--name', '', '--grant', 'client_credentials'],
      ['--name', 'x', '--grant', 'implicit'],
      ['--name', 'x', '--grant', 'password', '--auth', 'basic'],
      ['--name', 'x', '--grant', 'password', '--pkce', 'plain'],
      ['--name', 'x', '--grant', 'client_credentials', '--auth', 'none'],
      ['--name', 'x', '--grant', 'password', '--id', 'u_someone'],
      ['--name', 'x', '--grant', 'password', '--id', 'https://a.example'],
      ['--name', 'x', '--grant', 'password', '--redirect-uri', 'javascript:alert(1)'],
      ['--name', 'x', '--grant', 'password', '--scope', 'a"b'],
      ['--name', 'x', '--grant', 'password', '--access-token-ttl', '0s'],
    ]) {
      const { code, err } = await cli.run(['clients', 'create', ...options])
      t.equal(code, 2, options.join(' '))
      t.match(err, /^(keyturn|error): /)
    }
    t.equal((await cli.run([...MACHINE, '--introspects', API])).code, 1, 'an unknown API is a refusal')
    t.same(await cli.json(['clients', 'list']), [])
  },
)

t.test('without --grant a client can only introspect tokens (RFC 7662 §4)', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['apis', 'create', API, '--scope', 'read'])
  const created = await cli.json(['clients', 'create', '--name', 'Orders API', '--introspects', API])
  t.match(created, { grant_types: [], introspects: [API], client_secret: /^ktcs_/ })
})

t.test('a client id can be used only once', async (t) => {
  const cli = await startedCli(t)
  await cli.json(SHOP)
  const { code, err } = await cli.run(SHOP)
  t.equal(code, 1)
  t.match(err, 'keyturn: the client shop already exists\n')
})

t.test('an update changes the given fields, lists what it removes and keeps the secret', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['apis', 'create', API, '--scope', 'read', '--scope', 'write'])
  await cli.json([...SHOP, '--scope', 'read write', '--introspects', API, '--access-token-ttl', '5m'])
  const before = await stored(cli, 'shop')
  const { code, err } = await cli.run([
    ...['clients', 'update', 'shop', '--scope', 'read', '--grant', 'password', '--name', 'New'],
    ...['--auth', 'client_secret_post', '--access-token-ttl', 'default', '--accept-endpoint-audience'],
  ])
  t.equal(code, 0)
  t.match(err, 'note: the client is now registered for client_secret_post; client_secret_basic still works\n')
  t.match(err, 'note: the client can no longer use the grants client_credentials\n')
  t.match(err, 'note: the client can no longer request the scopes write\n')
  t.same(await stored(cli, 'shop'), {
    ...before,
    name: 'New',
    scopes: ['read'],
    grants: ['password'],
    authMethod: 'client_secret_post',
    accessTokenTtl: null,
    acceptEndpointAudience: true,
    revision: 2,
  })
  const again = await cli.json(['clients', 'update', 'shop', '--no-accept-endpoint-audience', '--scope', ''])
  t.match(again, { accept_endpoint_audience: false, scope: '', client_name: 'New' })
})

t.test(
  'changing the authentication method removes the old credential (RFC 7591 §2; docs/security.md B18)',
  async (t) => {
    const cli = await startedCli(t)
    const first = await cli.json<{ client_secret: string }>(SHOP)
    const file = jwksFile(cli, [ec.publicKey.export({ format: 'jwk' })])
    const { err } = await cli.run(['clients', 'update', 'shop', '--jwks-file', file])
    t.match(err, 'must now authenticate with private_key_jwt instead of client_secret_basic\n')
    t.match(await stored(cli, 'shop'), { authMethod: 'private_key_jwt', secretHash: null })
    const uri = await cli.json(['clients', 'update', 'shop', '--jwks-uri', 'https://a.example/k'])
    t.match(uri, { jwks_uri: 'https://a.example/k' })
    t.notOk('jwks' in uri, 'only one of the two may be given')
    const back = await cli.json<{ client_secret: string }>([
      'clients',
      'update',
      'shop',
      '--auth',
      'client_secret_basic',
    ])
    t.ok(isGeneratedSecret(back.client_secret), 'a new secret, because the client needs one now')
    t.not(back.client_secret, first.client_secret)
  },
)

t.test('a contradictory update is a usage error and changes nothing', async (t) => {
  const cli = await startedCli(t)
  await cli.json(SHOP)
  const before = await stored(cli, 'shop')
  for (const options of [
    [],
    ['--auth', 'none'],
    ['--auth', 'private_key_jwt'],
    ['--redirect-uri', 'data:,x'],
  ]) {
    t.equal((await cli.run(['clients', 'update', 'shop', ...options])).code, 2, options.join(' '))
  }
  t.equal((await cli.run(['clients', 'update', 'shop', '--introspects', API])).code, 1)
  t.same(await stored(cli, 'shop'), before)
})

t.test(
  'a secret is replaced by a generated or user-supplied one, and only for a client that has one',
  async (t) => {
    const cli = await startedCli(t)
    const first = await cli.json<{ client_secret: string }>(SHOP)
    const second = await cli.json<{ client_secret: string }>(['clients', 'rotate-secret', 'shop'])
    t.ok(isGeneratedSecret(second.client_secret))
    t.not(second.client_secret, first.client_secret)
    t.equal(
      (await cli.run(['clients', 'rotate-secret', 'shop', '--secret-stdin'], { input: USER_SUPPLIED })).code,
      0,
    )
    t.match((await stored(cli, 'shop'))?.secretHash, /^\$argon2id/)
    await cli.json([
      'clients',
      'create',
      '--id',
      'app',
      '--name',
      'App',
      '--grant',
      'password',
      '--auth',
      'none',
    ])
    const refused = await cli.run(['clients', 'rotate-secret', 'app'])
    t.equal(refused.code, 1)
    t.match(refused.err, 'has no secret')
    const actions = cli.logger.audits('client.changed').map(({ action }) => action)
    t.same(actions, ['created', 'secret rotated', 'secret rotated', 'created'])
  },
)

t.test(
  'the logo of a client is fetched and stored, and its pages are kept as links (RFC 7591 §2)',
  async (t) => {
    const cli = await startedCli(t)
    const image = pngImage(8, [200, 30, 30])
    const web = await imageServer(t, image)
    const pages = {
      client_uri: 'https://shop.example/',
      policy_uri: 'https://shop.example/legal#privacy',
      tos_uri: 'http://localhost:8080/terms',
    }
    const options = [
      '--client-uri',
      pages.client_uri,
      '--policy-uri',
      pages.policy_uri,
      '--tos-uri',
      pages.tos_uri,
    ]
    const created = await cli.json([...SHOP, '--logo-uri', web.uri, ...options])
    t.match(created, { logo_uri: web.uri, ...pages })
    const logo = async () => {
      const client = await stored(cli, 'shop')
      return client?.logo ? cli.withStore((store) => store.clientLogos.find(client.logo ?? '')) : null
    }
    t.match(await logo(), { contentType: 'image/png', body: image })
    await cli.json(['clients', 'update', 'shop', '--name', 'Another name'])
    t.equal(web.requestCount(), 1, 'another change does not fetch it again')
    web.answers((_request, response) => response.end(pngImage(9, [0, 0, 0])))
    await cli.json(['clients', 'update', 'shop', '--logo-uri', web.uri])
    t.match(await logo(), { body: pngImage(9, [0, 0, 0]) }, 'naming it again fetches it again')
    const none = ['--no-logo-uri', '--no-client-uri', '--no-policy-uri', '--no-tos-uri']
    const bare = await cli.json(['clients', 'update', 'shop', ...none])
    for (const name of ['logo_uri', ...Object.keys(pages)]) t.notOk(name in bare, name)
    t.equal(await logo(), null)
  },
)

t.test(
  'a logo that cannot be fetched is refused with the reason, and so is a page that is not a web page',
  async (t) => {
    const cli = await startedCli(t)
    const web = await imageServer(t, pngImage(8, [0, 0, 0]))
    const refused = async (uri: string, reason: string, option = '--logo-uri') => {
      const { code, err } = await cli.run([...SHOP, option, uri])
      t.equal(code, 2, reason)
      t.match(err, reason)
    }
    const answers: Record<string, RequestListener> = {
      'logo URI returned the status 404': (_request, response) => response.writeHead(404).end('<html>'),
      'logo URI returned the status 302': (_request, response) =>
        response.writeHead(302, { location: 'https://elsewhere.example/' }).end(),
      'logo URI must return a PNG, JPEG or WebP image': (_request, response) =>
        response
          .writeHead(200, { 'content-type': 'image/png' })
          .end('<svg xmlns="http://www.w3.org/2000/svg"/>'),
      'logo URI returned more than 100 KB': (_request, response) =>
        response.end(Buffer.concat([pngImage(8, [0, 0, 0]), Buffer.alloc(102_400)])),
      'logo URI could not be fetched: other side closed': (request) => request.socket.destroy(),
    }
    for (const [reason, answer] of Object.entries(answers)) {
      web.answers(answer)
      // Through the API, nobody learns what answers in the network of the server.
      await refused(web.uri, cli.remote ? 'logo URI must lead to a PNG, JPEG or WebP image' : reason)
    }
    for (const uri of ['http://shop.example/logo.png', 'data:image/png;base64,AA', 'https://a@b.example/']) {
      await refused(uri, 'logo URI must')
    }
    for (const option of ['--client-uri', '--policy-uri', '--tos-uri']) {
      for (const uri of ['javascript:alert(1)', 'http://shop.example/', 'https://user@shop.example/', 'shop'])
        await refused(uri, 'URI must', option)
    }
    t.same(await cli.json(['clients', 'list']), [])
  },
)

interface Rotated {
  readonly client_secret: string
  readonly client_secret_expires_at: number
  readonly secret_id: string
}

interface Listed {
  readonly secret_id: string
  readonly created_at: number
  readonly expires_at: number | null
  readonly last_used_at: number | null
}

t.test(
  'with --overlap the old secret stays good until the overlap ends, and at most two are good',
  async (t) => {
    const cli = await startedCli(t)
    const list = () => cli.json<Listed[]>(['clients', 'secrets', 'list', 'shop'])
    const rotate = (...options: string[]) => cli.run(['clients', 'rotate-secret', 'shop', ...options])
    await cli.json(SHOP)
    const [old] = await list()
    const createdAt = cli.clock.now()
    t.match(old, { secret_id: /^cs_/, created_at: createdAt, expires_at: null, last_used_at: null })
    cli.clock.tick(5)

    const rotated = await rotate('--overlap', '24h', '--json')
    const added = rotated.json<Rotated>()
    t.ok(isGeneratedSecret(added.client_secret))
    t.equal(added.client_secret_expires_at, 0, 'the new secret does not expire (RFC 7591 §3.2.1)')
    t.match(rotated.err, `note: the old secret ${old?.secret_id} is accepted until 20`)
    const end = cli.clock.now() + 86_400
    t.same(await list(), [
      { ...old, expires_at: end },
      { secret_id: added.secret_id, created_at: cli.clock.now(), expires_at: null, last_used_at: null },
    ])

    const third = await rotate('--overlap', '1h')
    t.equal(third.code, 1)
    t.match(
      third.err,
      `the client already has 2 secrets that are good: end one of them first (${old?.secret_id}`,
    )
    t.equal((await list()).length, 2)

    cli.clock.tick(86_399)
    t.equal((await list()).length, 2)
    cli.clock.tick(1)
    t.match(await list(), [{ secret_id: added.secret_id }], 'the old one has ended')
    await rotate('--overlap', '1h')
    await rotate()
    t.match(await list(), { length: 1 }, 'without --overlap all old ones end at once')
    for (const wrong of ['0s', '91d', 'soon']) t.equal((await rotate('--overlap', wrong)).code, 2, wrong)
  },
)

t.test('a secret is ended by its id, and the last one only with --force', async (t) => {
  const cli = await startedCli(t)
  const list = () => cli.json<Listed[]>(['clients', 'secrets', 'list', 'shop'])
  const end = (id = '', ...options: string[]) =>
    cli.run(['clients', 'secrets', 'end', 'shop', id, ...options])
  await cli.json(SHOP)
  const { secret_id } = await cli.json<Rotated>(['clients', 'rotate-secret', 'shop', '--overlap', '24h'])
  const [old] = await list()
  t.match(await end(old?.secret_id), { code: 0, out: `ended ${old?.secret_id}`, err: '1 secret left' })
  t.match(await list(), [{ secret_id }])
  t.match(await end(old?.secret_id), { code: 1, err: `the client shop has no secret ${old?.secret_id}` })
  const last = await end(secret_id)
  t.equal(last.code, 1)
  t.match(last.err, 'the last secret of the client that is good')
  t.match(await list(), [{ secret_id }])
  t.match(await end(secret_id, '--force'), { code: 0, err: 'can no longer authenticate' })
  t.same(await list(), [])
  const renamed = await cli.json(['clients', 'update', 'shop', '--name', 'Another name'])
  t.notOk('client_secret' in renamed, 'another change does not make a new secret')
  t.match(await cli.json(['clients', 'rotate-secret', 'shop']), { client_secret: /^ktcs_/ })
  const actions = cli.logger.audits('client.changed').map(({ action }) => action)
  t.same(actions.filter((one) => one === 'secret ended').length, 2)
  t.equal((await cli.run(['clients', 'secrets', 'list', 'nobody'])).code, 1)
})

t.test('a client is disabled, enabled and deleted, and an unknown client is refused', async (t) => {
  const cli = await startedCli(t)
  await cli.json(SHOP)
  t.match(await cli.json(['clients', 'disable', 'shop']), { disabled: true })
  t.match((await cli.run(['clients', 'list'])).out, /shop .* disabled\n/)
  t.match(await cli.json(['clients', 'enable', 'shop']), { disabled: false })
  t.same(await cli.json(['clients', 'delete', 'shop']), { deleted: 'shop' })
  for (const verb of [
    ['show'],
    ['disable'],
    ['enable'],
    ['delete'],
    ['rotate-secret'],
    ['update', '--name', 'x'],
  ]) {
    const { code, err } = await cli.run(['clients', ...verb, 'shop'])
    t.equal(code, 1, String(verb[0]))
    t.equal(err, 'keyturn: there is no client shop\n')
  }
  const actions = cli.logger.audits('client.changed').map(({ action }) => action)
  t.same(actions, ['created', 'disabled', 'enabled', 'deleted'])
})

t.test('a scope that no API owns is refused unless --allow-unowned is given', async (t) => {
  const cli = await startedCli(t)
  await cli.json(['apis', 'create', API, '--scope', 'read'])
  const create = [...SHOP, '--scope', 'read', '--scope', 'raed', '--scope', 'openid']
  const refused = await cli.run(create)
  t.equal(refused.code, 1)
  t.match(
    refused.err,
    /^keyturn: no API has the scope raed: add it to one with npx keyturn apis create or .*, or give --allow-unowned\n$/,
  )
  t.equal(await stored(cli, 'shop'), null)
  const { code, err } = await cli.run([...create, '--allow-unowned'])
  t.equal(code, 0)
  t.match(await cli.run(['clients', 'update', 'shop', '--add-scope', 'wriet']), {
    code: 1,
    err: 'the scope wriet',
  })
  t.match(await cli.run(['clients', 'update', 'shop', '--allow-unowned']), {
    code: 2,
    err: 'nothing to change',
  })
  t.match(await cli.json(['clients', 'update', 'shop', '--name', 'Other']), { scope: 'read raed openid' })
  t.match(
    err,
    'note: no API has the scope raed; the audience of a token with only such scopes is http://localhost:3000\n',
  )
})

t.test('an update adds to a list or removes from it, and leaves the rest as it is', async (t) => {
  const cli = await startedCli(t)
  const uri = (name: string) => `https://${name}.example/callback`
  await cli.json(['apis', 'create', API, '--scope', 'read write cancel'])
  await cli.json(['apis', 'create', 'https://stock.example', '--scope', 'stock'])
  await cli.json([
    ...[...SHOP, '--grant', 'authorization_code', '--scope', 'read write', '--redirect-uri', uri('a')],
    ...['--post-logout-redirect-uri', uri('bye'), '--introspects', API],
  ])
  const update = (...args: string[]) => cli.run(['clients', 'update', 'shop', ...args, '--json'])
  const added = await update(
    ...['--add-scope', 'cancel write', '--add-redirect-uri', uri('b'), '--add-redirect-uri', uri('c')],
    ...['--add-grant', 'refresh_token', '--add-introspects', 'https://stock.example/'],
    ...['--add-post-logout-redirect-uri', uri('ciao')],
  )
  t.match(added.json(), {
    scope: 'read write cancel',
    redirect_uris: [uri('a'), uri('b'), uri('c')],
    post_logout_redirect_uris: [uri('bye'), uri('ciao')],
    introspects: [API, 'https://stock.example'],
  })
  const grants = added.json<{ grant_types: string[] }>().grant_types
  t.ok(grants.includes('refresh_token') && grants.includes('authorization_code'))
  const removed = await update(
    ...['--remove-scope', 'write', '--remove-redirect-uri', uri('a'), '--add-redirect-uri', uri('d')],
    ...['--remove-post-logout-redirect-uri', uri('bye'), '--remove-introspects', API],
    ...['--remove-grant', 'refresh_token'],
  )
  t.match(removed.json(), {
    scope: 'read cancel',
    redirect_uris: [uri('b'), uri('c'), uri('d')],
    post_logout_redirect_uris: [uri('ciao')],
    introspects: ['https://stock.example'],
  })
  t.match(removed.err, 'the client can no longer request the scopes write')

  const before = await stored(cli, 'shop')
  for (const [args, code, reason] of [
    [['--remove-scope', 'write'], 1, /there is no scope write to remove/],
    [['--remove-redirect-uri', uri('a')], 1, /there is no redirect URI .* to remove/],
    [['--scope', 'read', '--add-scope', 'write'], 2, /cannot be used with/],
    [['--no-post-logout-redirect-uri', '--add-post-logout-redirect-uri', uri('x')], 2, /cannot be used with/],
    [['--add-scope', 'write', '--remove-scope', 'write'], 2, /added and removed at once/],
    [['--add-grant', 'implicit'], 2, /Allowed choices/],
    [['--add-introspects', 'https://none.example'], 1, /there is no API/],
  ] as const) {
    t.match(await update(...args), { code, err: reason }, args.join(' '))
  }
  t.same(await stored(cli, 'shop'), before)
})

t.test('the name of a client is stored in one form, and its joiners are kept', async (t) => {
  const cli = await startedCli(t)
  const create = ['clients', 'create', '--grant', 'client_credentials', '--name']
  t.match(await cli.json([...create, ' My \u3000 shop\u00a0', '--id', 'a']), { client_name: 'My shop' })
  t.match(await cli.json(['clients', 'update', 'a', '--name', 'علی\u200cرضا  🛒']), {
    client_name: 'علی\u200cرضا 🛒',
  })
  for (const name of ['x\u202ey', 'x\u200dy', '\u3164']) t.equal((await cli.run([...create, name])).code, 2)
})

t.test('names that begin with a hyphen can be given after --, and the error says so', async (t) => {
  const cli = await startedCli(t)
  await cli.json([...MACHINE, '--id', '-dash'])
  const input = 'correct horse battery staple'
  await cli.run(['users', 'create', '--password-stdin', '--', '-alice'], { input })
  for (const args of [
    ['clients', 'show', '--json', '--', '-dash'],
    ['clients', 'rotate-secret', '--json', '--', '-dash'],
  ])
    t.match((await cli.run(args)).json(), { client_id: '-dash' })
  t.match((await cli.run(['users', 'show', '--json', '--', '-alice'])).json(), { username: '-alice' })
  t.match(await cli.run(['clients', 'show', '-dash']), { code: 2, err: /goes after --/ })
  t.notMatch((await cli.run(['clients', 'show', 'x', '--dash'])).err, 'goes after --')
})

t.test('keys of another kind in a file are left out, and a note says how many', async (t) => {
  const cli = await startedCli(t)
  const jwk = { ...ec.publicKey.export({ format: 'jwk' }), kid: 'sig' }
  const file = jwksFile(cli, [{ ...jwk, kid: 'enc', use: 'enc' }, jwk])
  const { err, code, json } = await cli.run([...SHOP, '--jwks-file', file, '--json'])
  t.equal(code, 0, err)
  t.match(err, /^note: 1 key of another kind in .* was left out\n/)
  t.match(json(), { jwks: { keys: [{ kid: 'sig' }] } })
})
