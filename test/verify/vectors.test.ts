/** docs/test-vectors: @keyturn/verify passes them all, and where jose differs is written down. */
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import t from 'tap'
import { type Vectors, vectors } from '../../docs/test-vectors/generate.ts'
import { createVerifier } from '../../packages/verify/index.ts'
import { read, tableBelow } from '../support/docs/documents.ts'
import { verdict } from '../support/issuers/stand-in-issuer.ts'

const { issuer, audience, now, jwks, cases, algorithms }: Vectors = JSON.parse(
  read('docs/test-vectors/vectors.json'),
)

t.test('the file is what the script makes, but for the signatures that are random', async (t) => {
  const random = /^(PS256|ES256) /
  const parts = (all: Vectors) =>
    all.cases.map((one) =>
      random.test(one.name) ? { ...one, token: one.token.slice(0, one.token.lastIndexOf('.')) } : one,
    )
  t.same(parts(JSON.parse(read('docs/test-vectors/vectors.json'))), parts(vectors()))
  t.same(jwks, vectors().jwks)
})

t.test(
  'each case has a name of its own, a reason and a source; private keys are not published',
  async (t) => {
    t.equal(new Set(cases.map(({ name }) => name)).size, cases.length)
    t.equal(new Set(cases.map(({ token }) => token)).size, cases.length)
    t.ok(cases.every(({ reason, source }) => reason !== '' && /^RFC \d+ §[\d.]+$/.test(source)))
    t.same(algorithms, ['RS256'])
    t.notMatch(JSON.stringify(jwks), /"(d|p|q|dp|dq|qi|k)":/)
  },
)

t.test('@keyturn/verify is right about every one', async (t) => {
  const verifier = createVerifier({
    issuer,
    audience,
    jwksUri: `${issuer}/jwks.json`,
    fetch: async () => Response.json(jwks),
    clock: () => now,
    monotonic: (() => {
      let asked = 0
      // Time passes with every question, so that no unknown kid waits for a cool-down.
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

t.test('jose, asked for all that it can check, differs where the README says', async (t) => {
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
