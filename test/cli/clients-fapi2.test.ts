/** `clients create --profile fapi2`, and what happens to such a client later. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Cli, testCli } from '../support/processes/cli.ts'
import { clientKey } from '../support/server/jws.ts'

const API = 'https://accounts.example'

async function bank(t: Test, algorithms = 'RS256 ES256'): Promise<Cli> {
  const cli = testCli(t)
  await cli.start({ ALGORITHMS: algorithms })
  writeFileSync(join(cli.dir, 'keys.json'), JSON.stringify({ keys: [clientKey('PS256', 'one').jwk] }))
  await cli.json(['apis', 'create', API, '--scope', 'accounts'])
  return cli
}

const CREATE = [
  ...['clients', 'create', '--name', 'Bank app', '--id', 'bank', '--profile', 'fapi2'],
  ...['--grant', 'authorization_code refresh_token', '--scope', 'openid accounts'],
  ...['--redirect-uri', 'https://bank.example/callback'],
]
const KEYS = ['--jwks-file', 'keys.json']

t.test('the profile sets all that it asks for, and a note names what it cannot set', async (t) => {
  const cli = await bank(t)
  const { code, out, err } = await cli.run([...CREATE, ...KEYS, '--json'])
  t.equal(code, 0)
  t.match(JSON.parse(out), {
    profile: 'fapi2',
    token_endpoint_auth_method: 'private_key_jwt',
    require_pushed_authorization_requests: true,
    pkce: 'required',
    dpop_bound_access_tokens: true,
    tls_client_certificate_bound_access_tokens: false,
    id_token_signed_response_alg: 'ES256',
    authorization_signed_response_alg: 'ES256',
    introspection_signed_response_alg: 'ES256',
    accept_endpoint_audience: false,
  })
  t.match(
    err,
    `note: access tokens for ${API} are signed with RS256, which FAPI 2.0 §5.4.1-1 does not permit: change it with npx keyturn apis update ${API} --signing-alg ES256\n`,
  )
  t.notMatch(out, /client_secret/)
  await cli.withStore((store) => store.apis.update(API, (api) => ({ ...api, signingAlg: 'ES256' })))
  t.notMatch((await cli.run(['clients', 'update', 'bank', '--name', 'Bank'])).err, /§5\.4\.1/)
})

t.test('tokens are bound to a certificate instead, if the registration says so', async (t) => {
  const cli = await bank(t)
  t.match(await cli.json([...CREATE, ...KEYS, '--require-mtls-bound']), {
    dpop_bound_access_tokens: false,
    tls_client_certificate_bound_access_tokens: true,
  })
})

t.test('a contradiction is refused with the section of the profile, and nothing is stored', async (t) => {
  const cli = await bank(t)
  const contradictions: readonly (readonly [readonly string[], string])[] = [
    [[...KEYS, '--grant', 'password'], '5.3.2.1-2'],
    [[], '5.3.2.1-6'],
    [['--auth', 'client_secret_post', ...KEYS], '5.3.2.1-6'],
    [['--auth', 'none'], '5.3.2.1-3'],
    [[...KEYS, '--accept-endpoint-audience'], '5.3.2.1-8'],
    [[...KEYS, '--pkce', 'optional'], '5.3.2.2-5'],
    [[...KEYS, '--redirect-uri', 'http://localhost/callback'], '5.3.2.2-8'],
    [[...KEYS, '--id-token-signing-alg', 'RS256'], '5.4.1-1'],
  ]
  for (const [options, section] of contradictions) {
    const { code, err } = await cli.run([...CREATE, ...options])
    t.equal(code, 2, options.join(' '))
    t.match(err, `(FAPI 2.0 Security Profile §${section})`, options.join(' '))
  }
  t.same(await cli.json(['clients', 'list']), [])
})

t.test('a lane that was just added signs later, so another one is chosen', async (t) => {
  const cli = await bank(t as Test, 'RS256 PS256')
  await cli.json(['keys', 'lanes', 'add', 'ES256'])
  t.match(await cli.json([...CREATE, ...KEYS]), { id_token_signed_response_alg: 'PS256' })
})

t.test('if no permitted lane may sign yet, the registration is refused until it may', async (t) => {
  const cli = await bank(t as Test, 'RS256')
  await cli.json(['keys', 'lanes', 'add', 'ES256'])
  const { code, err } = await cli.run([...CREATE, ...KEYS])
  t.equal(code, 1)
  t.match(err, /ES256/)
  cli.clock.tick(86_400)
  t.match(await cli.json([...CREATE, ...KEYS]), { id_token_signed_response_alg: 'ES256' })
})

t.test('without a lane that the profile permits, the registration is refused', async (t) => {
  const cli = await bank(t, 'RS256')
  const { code, err } = await cli.run([...CREATE, ...KEYS])
  t.equal(code, 2)
  t.match(err, /the ring must have a lane for it, which npx keyturn keys lanes add ES256 adds/)
  t.same(await cli.json(['clients', 'list']), [])
})

t.test('later changes keep the profile, are refused, or end it', async (t) => {
  const cli = await bank(t)
  await cli.json([...CREATE, ...KEYS])
  const before = await cli.json(['clients', 'show', 'bank'])
  const contradictions: readonly (readonly [readonly string[], string])[] = [
    [['--no-require-pushed-requests'], '5.3.2.2-3'],
    [['--no-require-dpop'], '5.3.2.1-4'],
    [['--add-grant', 'password'], '5.3.2.1-2'],
    [['--auth', 'client_secret_basic'], '5.3.2.1-6'],
    [['--accept-endpoint-audience'], '5.3.2.1-8'],
    [['--add-redirect-uri', 'http://localhost/callback'], '5.3.2.2-8'],
    [['--id-token-signing-alg', 'RS256'], '5.4.1-1'],
  ]
  for (const [options, section] of contradictions) {
    const { code, err } = await cli.run(['clients', 'update', 'bank', ...options])
    t.equal(code, 2, options.join(' '))
    t.match(err, `§${section}`, options.join(' '))
  }
  t.same(await cli.json(['clients', 'show', 'bank']), before)

  const reset = await cli.json(['clients', 'update', 'bank', '--no-id-token-signing-alg'])
  t.match(reset, { id_token_signed_response_alg: 'ES256' }, 'the default is that of the profile')
  const other = await cli.json(['clients', 'update', 'bank', '--require-mtls-bound', '--no-require-dpop'])
  t.match(other, { dpop_bound_access_tokens: false, tls_client_certificate_bound_access_tokens: true })
  const ended = await cli.json<object>([
    'clients',
    'update',
    'bank',
    '--no-profile',
    '--no-require-pushed-requests',
  ])
  t.notOk('profile' in ended)
  t.match(ended, { require_pushed_authorization_requests: false, pkce: 'required' })
})

t.test('a client gets the profile later, if nothing that it has contradicts it', async (t) => {
  const cli = await bank(t)
  const plain = CREATE.filter((word) => word !== '--profile' && word !== 'fapi2')
  await cli.json([...plain, ...KEYS, '--accept-endpoint-audience'])
  const refused = await cli.run(['clients', 'update', 'bank', '--profile', 'fapi2'])
  t.match(refused.err, '§5.3.2.1-8')
  const update = ['clients', 'update', 'bank', '--profile', 'fapi2', '--no-accept-endpoint-audience']
  t.match(await cli.json(update), {
    profile: 'fapi2',
    require_pushed_authorization_requests: true,
    dpop_bound_access_tokens: true,
    id_token_signed_response_alg: 'ES256',
  })
})

t.test('a document declares the profile, and its dump changes nothing', async (t) => {
  const cli = await bank(t)
  const document = {
    apis: [{ identifier: API, scopes: ['accounts'] }],
    clients: [
      {
        client_id: 'bank',
        client_name: 'Bank app',
        profile: 'fapi2',
        grant_types: ['authorization_code', 'refresh_token'],
        scope: 'openid accounts',
        redirect_uris: ['https://bank.example/callback'],
        jwks: { keys: [clientKey('ES256', 'one').jwk] },
      },
    ],
  }
  const apply = async (declared: object) => {
    writeFileSync(join(cli.dir, 'keyturn.yaml'), JSON.stringify(declared))
    return cli.run(['apply', '-f', 'keyturn.yaml'])
  }
  t.equal((await apply(document)).code, 0)
  t.match(await cli.json(['clients', 'show', 'bank']), {
    profile: 'fapi2',
    require_pushed_authorization_requests: true,
    dpop_bound_access_tokens: true,
    id_token_signed_response_alg: 'ES256',
  })
  t.match((await apply(document)).out, 'nothing to change')
  const dumped = await cli.run(['dump'])
  writeFileSync(join(cli.dir, 'keyturn.yaml'), dumped.out)
  t.match((await cli.run(['apply', '-f', 'keyturn.yaml'])).out, 'nothing to change')

  const [declared] = document.clients
  const wrong = await apply({ ...document, clients: [{ ...declared, dpop_bound_access_tokens: false }] })
  t.equal(wrong.code, 2)
  t.match(wrong.err, '§5.3.2.1-4')
})
