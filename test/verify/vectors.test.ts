/** docs/test-vectors: @keyturn/verify passes all of them, and the README says where jose differs. */
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import t from 'tap'
import { type Vectors, vectors } from '../../docs/test-vectors/generate.ts'
import { createVerifier } from '../../packages/verify/index.ts'
import { read, tableBelow } from '../support/docs/documents.ts'
import { verdict } from '../support/issuers/fake-issuer.ts'

const { issuer, audience, now, jwks, cases, algorithms }: Vectors = JSON.parse(
  read('docs/test-vectors/vectors.json'),
)

t.test('the file is what the script generates, except for random signatures', async (t) => {
  const random = /^(PS256|ES256) /
  const parts = (all: Vectors) =>
    all.cases.map((one) =>
      random.test(one.name) ? { ...one, token: one.token.slice(0, one.token.lastIndexOf('.')) } : one,
    )
  t.same(parts(JSON.parse(read('docs/test-vectors/vectors.json'))), parts(vectors()))
  t.same(jwks, vectors().jwks)
})

t.test('each case has its own name, a reason and a source, and no private key is published', async (t) => {
  t.equal(new Set(cases.map(({ name }) => name)).size, cases.length)
  t.equal(new Set(cases.map(({ token }) => token)).size, cases.length)
  t.ok(cases.every(({ reason, source }) => reason !== '' && /^RFC \d+ §[\d.]+$/.test(source)))
  t.same(algorithms, ['RS256'])
  t.notMatch(JSON.stringify(jwks), /"(d|p|q|dp|dq|qi|k)":/)
})

t.test('@keyturn/verify gives the right verdict on every case', async (t) => {
  const verifier = createVerifier({
    issuer,
    audience,
    jwksUri: `${issuer}/jwks.json`,
    fetch: async () => Response.json(jwks),
    clock: () => now,
    monotonic: (() => {
      let asked = 0
      // Each question moves the clock, so that an unknown kid does not wait for a cool-down.
      return () => {
        asked += 1000
        return asked
      }
    })(),
  })
  t.teardown(() => verifier.close())
  for (const { name, token, valid, reason, source } of cases) {
    const given = await verdict(verifier, token)
    t.equal(given === 'accepted', valid, `${name}: ${given} (${reason}, ${source})`)
  }
})

t.test('jose, with every check that it offers, differs where the README says', async (t) => {
  const keys = createLocalJWKSet({
    keys: jwks.keys.filter((key) => key !== null),
  } as JSONWebKeySet)
  const differences: string[] = []
  for (const { name, token, valid } of cases) {
    const accepted = await jwtVerify(token, keys, {
      issuer,
      audience,
      typ: 'at+jwt',
      algorithms: ['RS256'],
      currentDate: new Date(now * 1000),
      requiredClaims: ['exp', 'iat', 'sub', 'client_id', 'jti'],
    }).then(
      () => true,
      () => false,
    )
    if (accepted !== valid) differences.push(name)
  }
  const rows = tableBelow(read('docs/test-vectors/README.md'), '## Where jose differs')
  t.same(
    differences,
    rows.map(([name]) => name),
  )
})
