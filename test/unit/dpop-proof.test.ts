import { calculateJwkThumbprint } from 'jose'
import t from 'tap'
import { verifyProof } from '../../src/oauth/dpop/proof.ts'
import { isSameTarget } from '../../src/oauth/dpop/target-uri.ts'
import { OAuthError } from '../../src/oauth/errors.ts'
import {
  type ProofRequest,
  proof,
  publicJwk,
  rightProofs,
  thumbprintOf,
  wrongProofs,
  wrongTokenHashes,
} from '../support/dpop/proofs.ts'
import { clientKey } from '../support/server/jws.ts'

const NOW = 1_800_000_000
const keys = [clientKey('ES256'), clientKey('PS256'), clientKey('EdDSA')]
const [key = clientKey()] = keys
const request: ProofRequest = {
  key,
  method: 'POST',
  url: 'https://issuer.test/base/oauth2/token',
  now: NOW,
  accessToken: 'token',
}
const rules = { method: request.method, url: request.url, now: NOW, accessToken: 'token' }

async function problemOf(text: string, changed: Partial<typeof rules> = {}): Promise<string | undefined> {
  try {
    await verifyProof(text, { ...rules, ...changed })
    return undefined
  } catch (error) {
    if (error instanceof OAuthError && error.code === 'invalid_dpop_proof') return error.detail
    throw error
  }
}

t.test('a proof of each kind of key is verified, and its thumbprint is that of RFC 7638', async (t) => {
  for (const one of keys) {
    const verified = await verifyProof(
      proof({ ...request, key: one, nonce: 'n' }, { claims: { jti: 'j' } }),
      rules,
    )
    const jkt = await calculateJwkThumbprint(publicJwk(one))
    t.same(verified, { jkt, jti: 'j', htu: request.url, nonce: 'n', acceptedUntil: NOW + 60 }, one.alg)
    t.equal(thumbprintOf(one), jkt)
  }
  const newer = { header: { alg: 'Ed25519' } }
  t.equal(
    await problemOf(proof({ ...request, key: clientKey('EdDSA') }, newer)),
    undefined,
    'Ed25519 (RFC 9864)',
  )
})

t.test(
  'a proof that is wrong in one way is refused for this reason (RFC 9449 §4.3; docs/security.md L128)',
  async (t) => {
    const rows = Object.entries({ ...wrongProofs, ...wrongTokenHashes })
    t.ok(rows.length >= 60)
    for (const one of keys) {
      for (const [label, { problem, fields }] of rows) {
        if (problem === 'repeated') continue
        const [text = ''] = fields({ ...request, key: one })
        t.equal(await problemOf(text), `dpop_${problem}`, `${label}, ${one.alg}`)
      }
    }
  },
)

t.test(
  'an unusual proof that is right is accepted (RFC 9449 §4.2, §4.3; docs/security.md L128)',
  async (t) => {
    for (const [label, make] of Object.entries(rightProofs))
      t.equal(await problemOf(make(request)), undefined, label)
    const { accessToken: _, ...without } = request
    const atTokenEndpoint = { accessToken: undefined } as unknown as typeof rules
    t.equal(
      await problemOf(proof(without), atTokenEndpoint),
      undefined,
      'no ath where there is no access token',
    )
  },
)

t.test('iat is accepted from a minute ago to 30 seconds ahead (RFC 9449 §11.1)', async (t) => {
  const made = (iat: number) => problemOf(proof(request, { claims: { iat } }))
  t.same(
    [await made(NOW - 61), await made(NOW - 60), await made(NOW + 30), await made(NOW + 31)],
    ['dpop_expired', undefined, undefined, 'dpop_not_yet_valid'],
  )
})

t.test('the largest key that is accepted fits into a proof', async (t) => {
  const large = clientKey('PS256', 'large', 8192)
  t.equal(await problemOf(proof({ ...request, key: large })), undefined)
})

t.test(
  'URIs are compared after syntax-based and scheme-based normalization (RFC 3986 §6.2.2, §6.2.3)',
  async (t) => {
    const same: [string, string][] = [
      ['https://a.test', 'https://a.test/'],
      ['HTTPS://A.TEST/x', 'https://a.test/x'],
      ['https://a.test:443/x', 'https://a.test/x'],
      ['http://a.test:80', 'http://a.test/'],
      ['https://a.test:/x', 'https://a.test/x'],
      ['https://a.test/%7euser', 'https://a.test/~user'],
      ['https://a.test/%c3%a9', 'https://a.test/%C3%A9'],
      ['https://a.test/a/b/../c', 'https://a.test/a/c'],
      ['https://a.test/../../x', 'https://a.test/x'],
      ['https://a.test/a/.', 'https://a.test/a/'],
      ['https://a.test/a/b/..', 'https://a.test/a/'],
      ['https://a.test/%2e%2E/x', 'https://a.test/x'],
      ['https://a.test/x?y', 'https://a.test/x#z'],
      ['http://[::1]:3000/x', 'http://[::1]:3000/x'],
      ['https://a%2etest/x', 'https://a.test/x'],
    ]
    const different: [string, string][] = [
      ['https://a.test/x', 'https://a.test/X'],
      ['https://a.test/x', 'https://a.test/x/'],
      ['https://a.test/x', 'http://a.test/x'],
      ['https://a.test:444/x', 'https://a.test/x'],
      ['http://a.test:443/x', 'http://a.test/x'],
      ['https://a.test/a%2Fb', 'https://a.test/a/b'],
      ['https://a.test//x', 'https://a.test/x'],
      ['https://user@a.test/x', 'https://a.test/x'],
      ['https://a.test.evil.test/x', 'https://a.test/x'],
      ['https://a.test\\x', 'https://a.test/x'],
      ['https://a.test/x\n', 'https://a.test/x'],
      ['https://a.test/%zz', 'https://a.test/%zz'],
      ['/x', '/x'],
      ['https:///x', 'https:///x'],
      ['', ''],
    ]
    for (const [a, b] of same) t.ok(isSameTarget(a, b) && isSameTarget(b, a), `${a} and ${b}`)
    for (const [a, b] of different) t.notOk(isSameTarget(a, b) || isSameTarget(b, a), `${a} and ${b}`)
  },
)
