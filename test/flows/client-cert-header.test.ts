/** Certificates that a proxy passes on (RFC 9440): from whom they are believed, and what is refused. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  selfSigned,
  type TestAuthority,
  type TestCertificate,
  testAuthority,
} from '../support/certificates.ts'
import { claimsOf, encodeForm } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { tlsServer } from '../support/server/tls.ts'

const SHOP = 'spiffe://example.org/shop'
const PROXY = '10.0.0.1'

async function behindProxy(t: Test, settings: Record<string, string> = {}): Promise<TestServer> {
  const server = await testServer({ settings: { TRUST_PROXY: PROXY, ...settings } })
  t.teardown(() => server.close())
  await seedShop(server)
  return server
}

async function seedShop(server: TestServer): Promise<void> {
  await seed(server.store)
  const tlsSubject = { kind: 'san_uri', value: SHOP } as const
  await server.store.clients.insert(client({ id: 'shop', authMethod: 'tls_client_auth', tlsSubject }))
  await server.poll()
}

const field = (...certificates: readonly Pick<TestCertificate, 'base64'>[]) =>
  certificates.map(({ base64 }) => `:${base64}:`).join(', ')

const send = (server: TestServer, headers: Record<string, string | string[]>, from = PROXY) =>
  server.inject({
    method: 'POST',
    url: '/oauth2/token',
    remoteAddress: from,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: encodeForm({ client_id: 'shop', grant_type: 'client_credentials' }),
  })

t.test('the certificate of a trusted proxy is that of the client (RFC 9440 §2)', async (t) => {
  const server = await behindProxy(t as Test)
  const own = await selfSigned({ uri: [SHOP] })
  const issued = await send(server, { 'client-cert': field(own) })
  t.equal(issued.statusCode, 200, 'the proxy has checked the chain')
  t.match(claimsOf(issued.json().access_token).cnf, { 'x5t#S256': own.thumbprint })
})

t.test('the header of any other sender is ignored (docs/security.md X5)', async (t) => {
  const own = await selfSigned({ uri: [SHOP] })
  const server = await behindProxy(t as Test)
  for (const [from, headers] of [
    ['10.0.0.2', {}],
    ['10.0.0.2', { 'x-forwarded-for': PROXY }],
    ['127.0.0.1', {}],
  ] as const) {
    const refused = await send(server, { 'client-cert': field(own), ...headers }, from)
    t.equal(refused.statusCode, 401, from)
    t.match(server.logger.audits('client.authentication_failed').at(-1), { detail: 'certificate_missing' })
  }
  const direct = await behindProxy(t as Test, { TRUST_PROXY: 'off' })
  t.equal((await send(direct, { 'client-cert': field(own) })).statusCode, 401, 'without a proxy')
  t.equal((await send(direct, { 'client-cert': 'x' })).statusCode, 401, 'what means nothing is not read')
})

t.test('the chain is checked if the operator names the authorities', async (t) => {
  const root = await testAuthority()
  const file = join(t.testdir(), 'clients.pem')
  writeFileSync(file, root.cert)
  const server = await behindProxy(t as Test, { TLS_CLIENT_CA_FILE: file })
  const intermediate = await root.intermediate()
  const chained = await intermediate.issue({ uri: [SHOP] })
  const status = async (headers: Record<string, string>) => (await send(server, headers)).statusCode
  t.equal(await status({ 'client-cert': field(await root.issue({ uri: [SHOP] })) }), 200)
  t.equal(await status({ 'client-cert': field(chained), 'client-cert-chain': field(intermediate) }), 200)
  t.equal(
    await status({ 'client-cert': field(chained), 'client-cert-chain': field(intermediate, root) }),
    200,
  )
  t.equal(await status({ 'client-cert': field(chained) }), 401)
  t.equal(await status({ 'client-cert': field(await selfSigned({ uri: [SHOP] })) }), 401)
})

const malformed = (
  own: TestCertificate,
  root: TestAuthority,
): readonly (readonly [string, Record<string, string | string[]>])[] => [
  ['no byte sequence', { 'client-cert': own.base64 }],
  ['an empty field', { 'client-cert': '' }],
  ['an empty byte sequence', { 'client-cert': '::' }],
  ['PEM', { 'client-cert': `:${Buffer.from(own.cert).toString('base64')}:` }],
  ['base64url', { 'client-cert': `:${own.der.toString('base64url')}_:` }],
  ['base64 that is not canonical', { 'client-cert': `:${own.base64}=:` }],
  ['a parameter', { 'client-cert': `${field(own)};a=1` }],
  ['something behind it', { 'client-cert': `${field(own)} x` }],
  ['two certificates', { 'client-cert': field(own, own) }],
  ['two fields', { 'client-cert': [field(own), field(own)] }],
  ['no certificate', { 'client-cert': `:${Buffer.from('no certificate').toString('base64')}:` }],
  [
    'more than a certificate',
    { 'client-cert': `:${Buffer.concat([own.der, Buffer.alloc(1)]).toString('base64')}:` },
  ],
  ['a field that is too long', { 'client-cert': `:${'A'.repeat(12_000)}:` }],
  ['a chain without a certificate', { 'client-cert-chain': field(root) }],
  ['a malformed chain', { 'client-cert': field(own), 'client-cert-chain': 'x' }],
  ['an empty member of the chain', { 'client-cert': field(own), 'client-cert-chain': `${field(root)},` }],
  ['a chain of too many', { 'client-cert': field(own), 'client-cert-chain': field(...Array(6).fill(root)) }],
]

t.test(
  'a header that cannot be read is refused, whatever else the request has (docs/security.md X5)',
  async (t) => {
    const server = await behindProxy(t as Test)
    const [own, root] = [await selfSigned({ uri: [SHOP] }), await testAuthority()]
    for (const [title, headers] of malformed(own, root)) {
      const refused = await send(server, headers)
      t.equal(refused.statusCode, 400, title)
      t.match(refused.json(), { error: 'invalid_request' }, title)
    }
  },
)

t.test(
  'the port that asks for certificates does not read the header, even of a trusted proxy (docs/security.md X5)',
  async (t) => {
    const tls = await tlsServer(t as Test, { settings: { TRUST_PROXY: 'on' } })
    await seedShop(tls.server)
    const own = await tls.authority.issue({ uri: [SHOP] })
    const request = (url: string, certificate?: TestCertificate, header?: TestCertificate) =>
      tls.fetch(certificate)(`${url}/oauth2/token`, {
        method: 'POST',
        headers: header ? { 'client-cert': field(header) } : {},
        body: new URLSearchParams({ client_id: 'shop', grant_type: 'client_credentials' }),
      })
    t.equal((await request(tls.mtls, undefined, own)).status, 401)
    t.equal((await request(tls.mtls, await tls.authority.issue(), own)).status, 401)
    t.equal((await request(tls.mtls, own, await tls.authority.issue())).status, 200)
    t.equal((await request(tls.issuer, undefined, own)).status, 200, 'the main port does')
  },
)
