/** docs/test-vectors/sender-constrained.json: @keyturn/verify answers every request as the file says. */
import t from 'tap'
import {
  type BoundCase,
  type BoundVectors,
  boundVectors,
} from '../../docs/test-vectors/generate-sender-constrained.ts'
import {
  createVerifier,
  errorResponse,
  type NodeRequest,
  nodeCredentials,
  schemeOf,
  type Verifier,
} from '../../packages/verify/index.ts'
import { read } from '../support/docs/documents.ts'

const vectors: BoundVectors = JSON.parse(read('docs/test-vectors/sender-constrained.json'))
const { issuer, audience, now, jwks, certificates, cases } = vectors

t.test('the file is what the script generates, except for random signatures', async (t) => {
  const unsigned = (text: string) => text.replace(/\.[\w-]{86}$/, '')
  const comparable = (all: BoundVectors) => ({
    ...all,
    cases: all.cases.map((one) => ({ ...one, dpop: one.dpop.map(unsigned) })),
  })
  t.same(comparable(vectors), JSON.parse(JSON.stringify(comparable(boundVectors()))))
})

t.test('each case has its own name, a reason and a source, and no private key is published', async (t) => {
  t.equal(new Set(cases.map(({ name }) => name)).size, cases.length)
  t.ok(cases.every(({ reason, source }) => reason !== '' && /^RFC \d+ §[\d.]+$/.test(source)))
  t.ok(cases.every(({ valid, response }) => valid === (response === null)))
  t.notMatch(JSON.stringify(jwks), /"(d|p|q|dp|dq|qi|k)":/)
})

function verifierFor({ requires }: BoundCase): Verifier {
  const { bound, acr, max_age: maxAge } = requires
  const verifier = createVerifier({
    issuer,
    audience,
    requireBound: bound ?? false,
    ...(acr ? { requireAcr: acr } : {}),
    ...(maxAge === undefined ? {} : { maxAge }),
    jwksUri: `${issuer}/jwks.json`,
    fetch: async () => Response.json(jwks),
    clock: () => now,
  })
  t.teardown(() => verifier.close())
  return verifier
}

/** The request as Node's http module would have it. */
function requestOf({ method, url, authorization, dpop, certificate }: BoundCase): NodeRequest {
  const { pathname, search, host } = new URL(url)
  const der = certificate && Buffer.from(certificates[certificate], 'base64')
  return {
    method,
    url: pathname + search,
    headers: { host, authorization, ...(dpop.length > 0 ? { dpop: dpop.join(', ') } : {}) },
    socket: {
      encrypted: true,
      remoteAddress: '203.0.113.9',
      getPeerCertificate: () => (der ? { raw: der } : {}),
    },
  }
}

async function answer(verifier: Verifier, one: BoundCase): Promise<BoundCase['response']> {
  try {
    const { token, sender } = nodeCredentials(requestOf(one), verifier.guard)
    await verifier.verify(token, sender)
    return null
  } catch (error) {
    const scheme = schemeOf(one.authorization)
    const { status, headers } = errorResponse(error, { realm: verifier.realm, ...verifier.guard, scheme })
    const challenge = headers['www-authenticate'] ?? ''
    const parameters = Object.fromEntries(
      [...challenge.matchAll(/\b(acr_values|max_age)="([^"]*)"/g)].map(([, name = '', value = '']) => [
        name,
        value,
      ]),
    )
    return {
      status,
      scheme: challenge.startsWith('DPoP') ? 'DPoP' : 'Bearer',
      error: /\berror="(\w+)"/.exec(challenge)?.[1] ?? '',
      ...(Object.keys(parameters).length > 0 ? { parameters } : {}),
    }
  }
}

t.test('@keyturn/verify answers every request as the file says', async (t) => {
  for (const one of cases) {
    const verifier = verifierFor(one)
    const before = cases.find(({ name }) => name === one.after)
    if (before) t.equal(await answer(verifier, before), null, before.name)
    t.same(await answer(verifier, one), one.response, `${one.name} (${one.reason}, ${one.source})`)
  }
})
