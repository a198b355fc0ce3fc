/** The options of a verifier, and the unusable or unsafe ones that are refused. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import t from 'tap'
import {
  authenticateRequest,
  createVerifier,
  keyturnExpress,
  keyturnFastify,
  requireAcr,
  requireMaxAge,
  requireRole,
  requireScope,
  type VerifierOptions,
} from '../../packages/verify/index.ts'
import { read, tableBelow } from '../support/docs/documents.ts'
import { fakeIssuer, verdict } from '../support/issuers/fake-issuer.ts'

const FOLDER = fileURLToPath(new URL('../../packages/verify/', import.meta.url))

t.test('a mistake in the options throws a TypeError at the start', async (t) => {
  const fine: VerifierOptions = { issuer: 'https://issuer.example', audience: 'https://orders.example' }
  createVerifier(fine).close()
  const wrong: Record<string, object[]> = {
    'issuer must be a URL': [{ issuer: 'issuer' }, { issuer: '' }],
    'issuer must be https': [
      { issuer: 'http://issuer.example' },
      { issuer: 'ftp://issuer.example' },
      { issuer: 'http://127.0.0.1.evil.example' },
    ],
    'jwksUri must be https': [{ jwksUri: 'http://issuer.example/jwks' }, { jwksUri: 'file:///keys' }],
    'mirror must be https': [{ mirror: 'http://cdn.example' }],
    'audience must name': [
      { audience: '' },
      { audience: [] },
      { audience: ['x', ''] },
      { audience: undefined },
      { audience: 5 },
    ],
    'is not a supported signature algorithm': [
      { algorithms: ['none'] },
      { algorithms: ['HS256'] },
      { algorithms: ['RS256', 'toString'] },
    ],
    'at least one': [{ algorithms: [] }],
    'types must be': [{ types: [] }, { types: [5] }],
    'leeway must be': [{ leeway: -1 }, { leeway: 301 }, { leeway: Number.NaN }, { leeway: '5m' }],
    'cacheSize must be': [{ cacheSize: -1 }, { cacheSize: 1.5 }, { cacheSize: Number.POSITIVE_INFINITY }],
    'maxTokenLength must be': [{ maxTokenLength: Number.NaN }],
    'timeoutMs must be': [{ timeoutMs: -5 }],
    'name must be': [{ name: '' }, { name: 'a b' }, { name: 'x\r\ny' }, { name: 'x'.repeat(65) }],
    'onStale must be': [{ statusList: { onStale: 'ignore' } }],
    'statusList must be': [{ statusList: 'yes' }, { statusList: 1 }],
    'createVerifier has no option': [
      { issuerUrl: 'x' },
      { audiences: [] },
      { statuslist: true },
      { cache: 0 },
    ],
    'statusList has no option': [{ statusList: { onstale: 'reject' } }, { statusList: { stale: 5 } }],
    'requireBound must be': [{ requireBound: 'yes' }],
    'baseUrl must be': [
      { baseUrl: 'orders.example' },
      { baseUrl: '/orders' },
      { baseUrl: 'https://orders.example?x' },
      { baseUrl: 'https://orders.example/#x' },
      { baseUrl: 'https://user@orders.example' },
    ],
    'trustedProxies: .* is not an IP address': [
      { trustedProxies: ['proxy.example'] },
      { trustedProxies: [''] },
    ],
    'trustedProxies: .* is not a network': [
      { trustedProxies: ['10.0.0.0/33'] },
      { trustedProxies: ['10.0.0.0/'] },
      { trustedProxies: ['fd00::/129'] },
    ],
    'acr .* must have at least one value': [
      { requireAcr: [] },
      { requireAcr: '' },
      { requireAcr: ['a b'] },
      { requireAcr: 'a"' },
    ],
    'maxAge .* must be a whole number': [{ maxAge: -1 }, { maxAge: 1.5 }, { maxAge: '5m' }],
    'dpop has no option': [{ dpop: { nonce: true } }, { dpop: { replay: false } }],
    'dpop.algorithms: HS256 is not': [{ dpop: { algorithms: ['HS256'] } }],
    'dpop.algorithms must name': [{ dpop: { algorithms: [] } }],
    'dpop.maxAge must be': [
      { dpop: { maxAge: 0 } },
      { dpop: { maxAge: 301 } },
      { dpop: { maxAge: Number.NaN } },
    ],
    'dpop.maxProofs must be': [{ dpop: { maxProofs: 0 } }, { dpop: { maxProofs: 1.5 } }],
    'dpop.claim must be': [{ dpop: { claim: true } }],
    'dpop.nonces.secret must have': [
      { dpop: { nonces: { secret: 'short' } } },
      { dpop: { nonces: { secret: new Uint8Array(31) } } },
      { dpop: { nonces: { secret: 5 } } },
    ],
    'dpop.nonces.lifetime must be': [{ dpop: { nonces: { secret: 's'.repeat(32), lifetime: 0 } } }],
    'dpop.nonces has no option': [{ dpop: { nonces: { secret: 's'.repeat(32), ttl: 5 } } }],
    'dpop.nonces must have': [{ dpop: { nonces: {} } }, { dpop: { nonces: { current: () => 'x' } } }],
    'staleAfter must be': [{ statusList: { staleAfter: 0 } }, { statusList: { staleAfter: Number.NaN } }],
  }
  for (const [message, cases] of Object.entries(wrong)) {
    for (const options of cases) {
      t.throws(
        () => createVerifier({ ...fine, ...options }),
        { name: 'TypeError', message: new RegExp(message) },
        JSON.stringify(options),
      )
    }
  }
})

t.test('the guards refuse unknown options, which could switch off a check', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  const request = new Request('https://orders.example/')
  t.throws(
    () => keyturnExpress({ verifier, require: false } as never),
    /keyturnExpress has no option require/,
  )
  t.throws(() => requireRole('manager', { scopes: ['x'] } as never), /requireRole has no option scopes/)
  for (const wrong of [[], ['a b'], [''], [{ maxAge: 5 }], ['phr', { maxAge: -1 }], ['phr', { maxage: 5 }]])
    t.throws(() => requireAcr(...(wrong as [])), { name: 'TypeError' }, JSON.stringify(wrong))
  for (const wrong of [undefined, -1, 1.5, '300', null])
    t.throws(() => requireMaxAge(wrong as never), { name: 'TypeError' }, String(wrong))
  await t.rejects(authenticateRequest(verifier, request, { acr: [] }), { name: 'TypeError' })
  await t.rejects(
    authenticateRequest(verifier, request, { scope: 'orders:read' } as never),
    /authenticateRequest has no option scope;/,
  )
})

t.test('plain http is allowed for this machine, and elsewhere with allowInsecureHttp', async (t) => {
  const audience = 'https://orders.example'
  for (const issuer of [
    'http://localhost:3000',
    'http://127.0.0.1',
    'http://[::1]:1',
    'http://auth.localhost',
  ]) {
    createVerifier({ issuer, audience }).close()
  }
  createVerifier({ issuer: 'http://issuer.internal', audience, allowInsecureHttp: true }).close()
  t.pass('none of them threw')
})

t.test('types are compared as media types, and the empty one accepts tokens without a typ', async (t) => {
  const issuer = await fakeIssuer(t)
  const lax = issuer.verifier({ types: ['JWT', ''] })
  for (const typ of ['JWT', 'jwt', 'application/JWT', undefined])
    t.equal(await verdict(lax, await issuer.token({}, { typ })), 'accepted')
  for (const typ of ['at+jwt', '', 5, null])
    t.equal(await verdict(lax, await issuer.token({}, { typ })), 'not_an_access_token', `${typ}`)
})

t.test(
  'tokens of another profile need not have the claims that RFC 9068 requires, even if both are accepted',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const both = issuer.verifier({ types: ['at+jwt', 'JWT'] })
    const bare = { client_id: undefined, jti: undefined, iat: undefined }
    t.equal(await verdict(both, await issuer.token(bare, { typ: 'JWT' })), 'accepted')
    t.equal(await verdict(both, await issuer.token(bare)), 'bad_claims')
    for (const wrong of [
      { client_id: 5 },
      { jti: [] },
      { iat: 'x' },
      { exp: undefined },
      { sub: undefined },
    ]) {
      t.equal(
        await verdict(both, await issuer.token({ ...bare, ...wrong }, { typ: 'JWT' })),
        'bad_claims',
        JSON.stringify(wrong),
      )
    }
  },
)

t.test('the package imports only Node modules, and types of Fastify', async (t) => {
  const sources = readdirSync(FOLDER).filter((name) => name.endsWith('.ts'))
  t.ok(sources.length > 10)
  for (const name of sources) {
    const text = readFileSync(FOLDER + name, 'utf8')
    for (const [line, from = ''] of text.matchAll(/^.*(?:from|import|import\(|require\() ?'([^']+)'.*$/gm)) {
      const typesOfFastify = name === 'fastify-typed.ts' && line === "import type {} from 'fastify'"
      t.ok(from.startsWith('node:') || /^\.\/[\w-]+\.ts$/.test(from) || typesOfFastify, `${name}: ${line}`)
    }
  }
  const manifest = JSON.parse(readFileSync(`${FOLDER}package.json`, 'utf8'))
  t.same(Object.keys(manifest.dependencies ?? {}), [])
})

t.test('the README of the package lists every option and every error code, and no others', async (t) => {
  const readme = read('packages/verify/README.md')
  const [, members = ''] =
    /interface VerifierOptions \{([\s\S]*?)\n\}/.exec(read('packages/verify/options.ts')) ?? []
  const options = [...members.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, name]) => name)
  const rows = tableBelow(readme, '## Options').flatMap(([name = '']) => name.replaceAll('`', '').split(', '))
  t.same(rows.toSorted(), options.toSorted())

  const [, dpopMembers = ''] =
    /interface DpopOptions \{([\s\S]*?)\n\}/.exec(read('packages/verify/dpop-options.ts')) ?? []
  const dpopOptions = [...dpopMembers.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, name]) => name)
  const dpopRows = tableBelow(readme, '### DPoP').map(([name = '']) => name.replaceAll('`', ''))
  t.same(dpopRows.toSorted(), dpopOptions.toSorted())

  const codes = [...read('packages/verify/errors.ts').matchAll(/^ {2}\| '(\w+)'/gm)].map(([, code]) => code)
  const [, section = ''] = /## Errors\n([\s\S]*?)(?=\n## )/.exec(readme) ?? []
  const named = [...section.matchAll(/`([a-z_]+)`/g)].map(([, code]) => code)
  t.same(named.filter((name) => name !== 'code' && name !== 'cause').toSorted(), codes.toSorted())
})

t.test('a missing name is not a missing requirement: the guard cannot be made', async (t) => {
  const issuer = await fakeIssuer(t)
  const app = fastify()
  await app.register(keyturnFastify, { verifier: issuer.verifier() })
  const missing = undefined as unknown as string
  for (const names of [[], [missing], [''], ['orders', missing], [null as unknown as string]]) {
    const label = JSON.stringify(names)
    for (const guard of [requireScope, requireRole, requireAcr])
      t.throws(() => guard(...names), TypeError, label)
    for (const name of ['requireScope', 'requireRole', 'requireAcr'] as const)
      t.throws(() => app[name](...names), TypeError, label)
  }
  t.throws(() => requireRole('manager', { scope: [] }), TypeError)
  t.throws(() => requireRole('manager', { scope: missing }), TypeError)
  t.throws(() => requireRole({ scope: 'orders' }), TypeError)
  t.throws(() => requireAcr('phr', { maxAge: undefined as unknown as number }), TypeError)
  t.throws(() => requireAcr({ maxAge: 300 }), TypeError)
})
