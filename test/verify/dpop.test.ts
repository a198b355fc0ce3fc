/** Tokens that are bound to a key (RFC 9449), as the verifier itself checks them. The guards are tested in test/contracts/dpop-guards.ts. */
import { createHash, randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { type SenderProof, type VerifierOptions, VerifyError } from '../../packages/verify/index.ts'
import { createReplayMemory, MemoryFull, proofKey } from '../../packages/verify/replay-memory.ts'
import {
  type ProofChange,
  proof as proofOf,
  publicJwk,
  rightProofs,
  thumbprintOf,
  wrongProofs,
  wrongTokenHashes,
} from '../support/dpop/proofs.ts'
import { fakeIssuer } from '../support/issuers/fake-issuer.ts'
import { clientKey } from '../support/server/jws.ts'

const URL_ = 'https://orders.example/orders'

async function bound(t: Test, options: Partial<VerifierOptions> = {}) {
  const issuer = await fakeIssuer(t)
  const client = clientKey()
  const jkt = thumbprintOf(client)
  const verifier = issuer.verifier(options)
  const token = await issuer.token({ cnf: { jkt } })
  const request = (key = client, accessToken = token) => ({
    key,
    accessToken,
    method: 'GET',
    url: URL_,
    now: issuer.time.now(),
  })
  /** A right proof with changed claims and header. */
  const proof = (
    claims: ProofChange['claims'] = {},
    header: ProofChange['header'] = {},
    key = client,
    accessToken = token,
  ) => proofOf(request(key, accessToken), { claims, header })
  const verdict = async (sender: SenderProof | undefined, one = token): Promise<string> => {
    try {
      await verifier.verify(one, sender)
      return 'accepted'
    } catch (error) {
      if (error instanceof VerifyError) return error.code
      throw error
    }
  }
  const withProof = (text: string, more: Partial<SenderProof> = {}, one = token) =>
    verdict({ proof: text, method: 'GET', url: URL_, ...more }, one)
  return { issuer, client, jkt, verifier, token, request, proof, verdict, withProof }
}

t.test(
  'a bound token is accepted with its proof and refused without one, cached or not (RFC 9449 §7.1; docs/security.md L133)',
  async (t) => {
    const { verdict, proof, withProof, verifier, token, jkt } = await bound(t as Test)
    t.equal(await verdict(undefined), 'proof_required')
    t.equal(await verdict({}), 'proof_required')
    t.equal(await withProof(proof()), 'accepted')
    t.equal(await verdict(undefined), 'proof_required', 'the cache of tokens does not save the proof')
    const claims = await verifier.verify(token, { proof: proof(), method: 'GET', url: URL_ })
    t.same(claims.cnf, { jkt })
  },
)

t.test(
  'a proof of another key does not help a thief of the token (RFC 9449 §4.3; docs/security.md L133)',
  async (t) => {
    const { client, proof, withProof } = await bound(t as Test)
    const thief = clientKey()
    t.equal(await withProof(proof({}, {}, thief)), 'wrong_key')
    t.equal(await withProof(proof({}, { jwk: publicJwk(thief) })), 'wrong_key')
    t.equal(
      await withProof(proof({}, { jwk: publicJwk(client) }, thief)),
      'invalid_proof',
      'a signature of another key',
    )
  },
)

t.test(
  'every proof of the shared table that is wrong in one way is refused, and uses up nothing (RFC 9449 §4.3; docs/security.md L128)',
  async (t) => {
    const { verdict, request, withProof } = await bound(t as Test)
    const jti = 'the same in all of them'
    for (const [name, { fields }] of Object.entries({ ...wrongProofs, ...wrongTokenHashes })) {
      // As Node joins repeated headers.
      const text = fields(request()).join(', ')
      const code = await verdict({ proof: text, method: 'GET', url: URL_ })
      t.ok(code === 'invalid_proof' || code === 'wrong_key', `${name}: ${code}`)
    }
    for (const claims of [{ htm: 'POST' }, { ath: 'x' }, { iat: 0 }])
      t.equal(await withProof(proofOf(request(), { claims: { jti, ...claims } })), 'invalid_proof')
    t.equal(await withProof(proofOf(request(), { claims: { jti } })), 'accepted')
  },
)

t.test('proofs that are unusual but right are accepted', async (t) => {
  const { issuer, request, proof, withProof } = await bound(t as Test)
  for (const [name, text] of Object.entries(rightProofs))
    t.equal(await withProof(text(request())), 'accepted', name)
  for (const alg of ['PS256', 'EdDSA'] as const) {
    const key = clientKey(alg)
    const token = await issuer.token({ cnf: { jkt: thumbprintOf(key) } })
    for (const [name, text] of Object.entries(rightProofs))
      t.equal(await withProof(text(request(key, token)), {}, token), 'accepted', `${alg}: ${name}`)
  }
  t.equal(
    await withProof(proof({ nonce: 'of the issuer' })),
    'accepted',
    'a nonce that this service did not ask for',
  )
})

t.test('iat may be a minute old, and clocks may differ by the leeway (RFC 9449 §11.1)', async (t) => {
  const { issuer, proof, withProof } = await bound(t as Test)
  const now = issuer.time.now()
  const strict = await bound(t as Test, { leeway: 0, dpop: { maxAge: 5 } })
  for (const [age, verdict] of [
    [89, 'accepted'],
    [90, 'invalid_proof'],
    [-30, 'accepted'],
    [-31, 'invalid_proof'],
  ] as const)
    t.equal(await withProof(proof({ iat: now - age })), verdict, `${age} s old`)
  for (const [age, verdict] of [
    [4, 'accepted'],
    [5, 'invalid_proof'],
    [-1, 'invalid_proof'],
  ] as const)
    t.equal(
      await strict.withProof(strict.proof({ iat: now - age })),
      verdict,
      `${age} s old, with other options`,
    )
  t.equal(await withProof(proof({ jti: 'j'.repeat(2048) })), 'invalid_proof', 'a jti of 2 KB')
})

t.test('a service can have several addresses, or none', async (t) => {
  const { proof, withProof, verifier, token } = await bound(t as Test)
  const url = [URL_, 'https://www.orders.example/orders']
  t.equal(await withProof(proof({ htu: url[1] }), { url }), 'accepted')
  t.equal(await withProof(proof({ htu: 'https://stock.example/orders' }), { url }), 'invalid_proof')
  t.equal(await withProof(proof(), { url: [] }), 'invalid_proof')
  const encoded = 'https://orders.example/a%2fb'
  t.equal(await withProof(proof({ htu: 'https://orders.example/a%2Fb' }), { url: encoded }), 'accepted')
  t.equal(await withProof(proof({ htu: 'https://orders.example/a/b' }), { url: encoded }), 'invalid_proof')
  const message = async (sender: SenderProof) =>
    verifier
      .verify(token, { proof: proof({ htu: 'https://stock.example/' }), method: 'GET', ...sender })
      .catch((error: Error) => error.message)
  t.match(
    await message({ url }),
    'is for another URL than https://orders.example/orders or https://www.orders.example/orders',
  )
  t.match(await message({ url: [] }), 'option baseUrl', 'the message says what to do')
  t.ok(String(await message({ url: `${URL_}/${'x'.repeat(9000)}` })).length < 400)
})

t.test('a proof of 64 KB is refused by its length, before anything of it is decoded', async (t) => {
  const { verifier, token, proof } = await bound(t as Test)
  const long = proof({ padding: 'x'.repeat(48_000) })
  t.ok(long.length > 64_000)
  const sender = (text: string) => ({ proof: text, method: 'GET', url: URL_ })
  for (const text of [long, 'x'.repeat(65_536), `${'a.'.repeat(32_768)}a`]) {
    await t.rejects(verifier.verify(token, sender(text)), {
      code: 'invalid_proof',
      message: 'the DPoP proof is too long',
    })
  }
})

t.test('every asymmetric algorithm works, and RS256 only if it is configured (RFC 9449 §4.2)', async (t) => {
  const issuer = await fakeIssuer(t)
  const check = async (alg: string, options: Partial<VerifierOptions>) => {
    const pair = await generateKeyPair(alg, { modulusLength: 2048 })
    const jwk = await exportJWK(pair.publicKey)
    const token = await issuer.token({ cnf: { jkt: await calculateJwkThumbprint(jwk) } })
    const ath = createHash('sha256').update(token).digest('base64url')
    const proof = await new SignJWT({ jti: randomUUID(), htm: 'GET', htu: URL_, iat: issuer.time.now(), ath })
      .setProtectedHeader({ typ: 'dpop+jwt', alg, jwk })
      .sign(pair.privateKey)
    return issuer
      .verifier(options)
      .verify(token, { proof, method: 'GET', url: URL_ })
      .then(
        () => 'accepted',
        ({ code }) => code,
      )
  }
  for (const alg of ['ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'EdDSA', 'Ed25519'])
    t.equal(await check(alg, {}), 'accepted', alg)
  t.equal(await check('RS256', {}), 'invalid_proof')
  t.equal(await check('RS256', { dpop: { algorithms: ['RS256'] } }), 'accepted')
  t.equal(await check('ES256', { dpop: { algorithms: ['PS256'] } }), 'invalid_proof')
})

t.test('a token that is not bound is not one of the scheme DPoP (RFC 9449 §7.1)', async (t) => {
  const { issuer, client, request, withProof, verdict } = await bound(t as Test)
  const bare = await issuer.token()
  t.equal(await verdict(undefined, bare), 'accepted')
  t.equal(await withProof(proofOf(request(client, bare)), {}, bare), 'not_bound')
})

t.test('requireBound refuses tokens that are not bound', async (t) => {
  const { issuer, proof, withProof, verdict } = await bound(t as Test, { requireBound: true })
  t.equal(await verdict(undefined, await issuer.token()), 'not_bound')
  t.equal(await verdict(undefined), 'proof_required')
  t.equal(await withProof(proof()), 'accepted')
})

t.test(
  'a cnf that cannot be checked makes the token unusable, with or without a proof (RFC 7800 §3.1)',
  async (t) => {
    const { issuer, client, jkt, request, withProof, verdict } = await bound(t as Test)
    const cases: unknown[] = [
      null,
      {},
      [],
      'jkt',
      5,
      [jkt],
      { jwk: publicJwk(client) },
      { kid: 'x' },
      { jku: 'https://keys.example' },
      { 'x5t#S512': 'x' },
      { jkt: jkt, kid: 'x' },
      { jkt: jkt.slice(1) },
      { jkt: `${jkt}=` },
      { jkt: [jkt] },
      { jkt: null },
      { JKT: jkt },
      { 'x5t#S256': '' },
    ]
    for (const cnf of cases) {
      const token = await issuer.token({ cnf })
      const name = JSON.stringify(cnf)
      const proof = proofOf(request(client, token))
      t.equal(await verdict(undefined, token), 'unsupported_binding', name)
      t.equal(await withProof(proof, {}, token), 'unsupported_binding', name)
    }
  },
)

t.test('a proof without a method or URL to compare is a mistake of the caller', async (t) => {
  const { verifier, token, proof } = await bound(t as Test)
  await t.rejects(verifier.verify(token, { proof: proof() }), { name: 'TypeError' })
  await t.rejects(verifier.verify(token, { proof: proof(), method: 'GET' }), { name: 'TypeError' })
})

t.test(
  'of fifty requests at once with one proof, one is accepted (RFC 9449 §11.1; docs/security.md L134)',
  async (t) => {
    const { proof, withProof } = await bound(t as Test)
    const one = proof()
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => withProof(one)))
    t.equal(verdicts.filter((verdict) => verdict === 'accepted').length, 1)
    t.equal(verdicts.filter((verdict) => verdict === 'replayed_proof').length, 49)
  },
)

t.test('a jti is used up for its key alone, in whatever proof it comes', async (t) => {
  const { issuer, proof, withProof } = await bound(t as Test)
  const jti = randomUUID()
  t.equal(await withProof(proof({ jti })), 'accepted')
  t.equal(await withProof(proof({ jti, iat: issuer.time.now() - 45 })), 'replayed_proof', 'another proof')
  const other = clientKey()
  const token = await issuer.token({ cnf: { jkt: thumbprintOf(other) } })
  const same = proof({ jti }, {}, other, token)
  t.equal(await withProof(same, {}, token), 'accepted', 'another client')
})

t.test('a proof is remembered until it is too old to be accepted again', async (t) => {
  const { issuer, proof, withProof } = await bound(t as Test)
  const early = proof({ iat: issuer.time.now() + 30 })
  t.equal(await withProof(early), 'accepted')
  for (let passed = 0; passed < 119; passed += 7) {
    t.equal(await withProof(early), 'replayed_proof', `after ${passed} s`)
    issuer.time.tick(7)
  }
  issuer.time.tick(1)
  t.equal(await withProof(early), 'invalid_proof')
})

t.test('the memory of proofs has a limit; a flood is refused and leaves room for other clients', (t) => {
  let now = 1_800_000_000
  const memory = createReplayMemory(1000, () => now)
  const claim = (jkt: string, jti: number) => memory.claim(proofKey(jkt, String(jti)), now + 90, jkt)
  const flood = (jkt: string) => {
    for (let jti = 0; jti < 5000; jti++) {
      try {
        claim(jkt, jti)
      } catch (error) {
        t.ok(error instanceof MemoryFull)
        return jti
      }
    }
    return Number.POSITIVE_INFINITY
  }
  t.equal(flood('one'), 500, 'a client alone may fill half')
  t.equal(flood('two'), 50, 'then a client has a share')
  t.equal(claim('three', 1), true)
  t.equal(claim('three', 1), false)
  t.equal(claim('one', 1), false, 'what was used stays used')
  for (let client = 0; client < 100; client++) flood(`client ${client}`)
  t.equal(memory.size, 1000)
  t.throws(() => claim('four', 1), /no room/)
  t.equal(claim('one', 499), false, 'nothing was forgotten early')
  now += 101
  t.equal(claim('four', 1), true)
  t.equal(memory.size, 1)
  t.end()
})

t.test('if the memory is full, the request can be repeated later', async (t) => {
  const { issuer, proof, withProof } = await bound(t as Test, { dpop: { maxProofs: 2 } })
  t.equal(await withProof(proof()), 'accepted')
  t.equal(await withProof(proof()), 'replay_unknown')
  issuer.time.tick(101)
  t.equal(await withProof(proof()), 'accepted')
})

t.test('processes share a memory of proofs through a function that claims a key once', async (t) => {
  const store = new Map<string, number>()
  const claim = async (key: string, until: number) => {
    await Promise.resolve()
    if (store.has(key)) return false
    store.set(key, until)
    return true
  }
  const { issuer, proof, withProof, token } = await bound(t as Test, { dpop: { claim } })
  const other = issuer.verifier({ dpop: { claim } })
  const one = proof()
  t.equal(await withProof(one), 'accepted')
  t.equal(await withProof(one), 'replayed_proof')
  await t.rejects(other.verify(token, { proof: one, method: 'GET', url: URL_ }), { code: 'replayed_proof' })
  const [[key, until]] = [...store] as [[string, number]]
  t.match(key, /^[\w-]{43}$/, 'the key has a fixed length')
  t.equal(until, issuer.time.now() + 90)
  const verdicts = await Promise.all(
    Array.from({ length: 50 }, async () => withProof(proof({ jti: 'same' }))),
  )
  t.equal(verdicts.filter((verdict) => verdict === 'accepted').length, 1)
})

t.test(
  'if the shared memory fails, does not answer or answers otherwise, no proof is accepted',
  async (t) => {
    const failing: Record<string, () => unknown> = {
      'it throws': () => {
        throw new Error('down')
      },
      'it rejects': () => Promise.reject(new Error('down')),
    }
    for (const [name, claim] of Object.entries(failing)) {
      const { proof, withProof } = await bound(t as Test, { dpop: { claim: claim as () => boolean } })
      t.equal(await withProof(proof()), 'replay_unknown', name)
    }
    for (const answer of [undefined, 'OK', 1, null]) {
      const { proof, withProof } = await bound(t as Test, { dpop: { claim: (() => answer) as never } })
      t.equal(await withProof(proof()), 'replayed_proof', String(answer))
    }
    const hangs = await bound(t as Test, {
      timeoutMs: 1,
      fetch: (url) => fetch(url),
      dpop: { claim: () => new Promise<boolean>(() => {}) },
    })
    t.equal(await hangs.withProof(hangs.proof()), 'replay_unknown')
  },
)

t.test(
  'with nonces, a proof must have a recent one of this service (RFC 9449 §9, §11.3; docs/security.md L129)',
  async (t) => {
    const secret = 'a secret that all processes share'
    const { issuer, verifier, token, proof, withProof } = await bound(t as Test, {
      dpop: { nonces: { secret } },
    })
    const refused = async (claims: Record<string, unknown>): Promise<string> => {
      const sender = { proof: proof(claims), method: 'GET', url: URL_ }
      const error = await verifier.verify(token, sender).catch((thrown) => thrown)
      t.equal(error.code, 'nonce_required')
      return error.nonce
    }
    const nonce = await refused({})
    t.match(nonce, /^[\x21\x23-\x5B\x5D-\x7E]+$/, 'RFC 9449 §8.1')
    t.equal(await withProof(proof({ nonce })), 'accepted')
    t.equal(await withProof(proof({ nonce })), 'accepted', 'a nonce may be used again, with another jti')
    for (const wrong of ['', 'x', nonce.toUpperCase(), `${nonce}x`, 5, [nonce], null])
      await refused({ nonce: wrong })

    const foreign = await bound(t as Test, { dpop: { nonces: { secret: secret.replace('all', 'few') } } })
    t.equal(await foreign.withProof(foreign.proof({ nonce })), 'nonce_required', 'another secret')

    const nonces: string[] = []
    const used = async () => {
      const sender = {
        proof: proof({ nonce }),
        method: 'GET',
        url: URL_,
        onNonce: (one: string) => void nonces.push(one),
      }
      return verifier.verify(token, sender).then(
        () => 'accepted',
        ({ code }) => code,
      )
    }
    t.equal(await used(), 'accepted')
    t.same(nonces, [], 'the nonce is the current one')
    issuer.time.tick(120)
    t.equal(await used(), 'accepted', 'the one before is still accepted')
    t.equal(nonces.length, 1, 'and there is a newer one')
    t.equal(await withProof(proof({ nonce: nonces[0] })), 'accepted')
    issuer.time.tick(120)
    t.equal(await used(), 'nonce_required')
  },
)

t.test('nonces can come from functions', async (t) => {
  const nonces = { current: async () => 'current', accepts: async (nonce: string) => nonce !== 'old' }
  const { proof, withProof } = await bound(t as Test, { dpop: { nonces } })
  t.equal(await withProof(proof({ nonce: 'current' })), 'accepted')
  t.equal(await withProof(proof({ nonce: 'old' })), 'nonce_required')
  t.equal(await withProof(proof()), 'nonce_required')
})
