import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { calculateJwkThumbprint, compactVerify, importJWK } from 'jose'
import t from 'tap'
import { ALGORITHM_NAMES, type AlgorithmName, algorithmNamed } from '../../src/algorithm-names.ts'
import { algorithms, bitsOf, generateKey, isAlgorithm } from '../../src/keys/algorithms.ts'
import { createRing, jwks, type NewKey, type NewLane, revoke, rotate } from '../../src/keys/ring.ts'
import { importAndTest } from '../../src/keys/self-test.ts'
import { signCompact } from '../../src/keys/sign-compact.ts'
import { ringKey } from '../contracts/ring.ts'
import { cachedKeys } from '../support/server/cached-keys.ts'
import { encryptPrivateKey, MASTER_KEY, masterKeysOf, newKey } from '../support/server/keys.ts'

const names = ALGORITHM_NAMES

/** A key for each algorithm. */
async function newKeys() {
  const keys = await Promise.all(names.map(async (name) => [name, await newKey(name, cachedKeys)] as const))
  return Object.fromEntries(keys) as Record<AlgorithmName, NewKey>
}

/** RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

t.test('the thumbprint function returns the value of the RFC’s example (RFC 7638 §3.1)', async (t) => {
  const example = {
    kty: 'RSA',
    n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
    e: 'AQAB',
    alg: 'RS256',
    kid: '2011-04-29',
  }
  t.equal(await calculateJwkThumbprint(example), 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
})

t.test('a kid is the RFC 7638 thumbprint of the public members', async (t) => {
  for (const alg of names) {
    const { kid, publicJwk } = await generateKey(alg)
    const members = [...algorithms[alg].publicMembers].sort()
    const canonical = `{${members.map((name) => `"${name}":"${publicJwk[name]}"`).join(',')}}`
    t.equal(kid, createHash('sha256').update(canonical).digest('base64url'), alg)
  }
})

for (const alg of names) {
  t.test(
    `${alg}: a key can be generated, encrypted, decrypted and used to sign, and its public key verifies`,
    async (t) => {
      const pair = await cachedKeys(alg)
      t.equal(pair.alg, alg)
      t.same(Object.keys(pair.publicJwk).sort(), [...algorithms[alg].publicMembers].sort(), 'no other member')

      const masterKeys = masterKeysOf(MASTER_KEY)
      const row = ringKey({ kid: pair.kid, alg, publicJwk: pair.publicJwk })
      const text = encryptPrivateKey(masterKeys, pair.kid, pair.privatePem)
      const key = await importAndTest(row, masterKeys.privateKeys.decrypt(pair.kid, text))
      t.same(Object.keys(key), ['kid', 'alg', 'sign'], 'in memory it signs, and cannot be copied out')
      t.same(Reflect.ownKeys(key.sign).sort(), ['length', 'name'])
      t.notMatch(inspect(key, { depth: 9, showHidden: true }), /PRIVATE|KeyObject/)

      const jws = await signCompact(key, 'at+jwt', '"x"')
      const verified = await compactVerify(jws, await importJWK({ ...pair.publicJwk }, alg), {
        algorithms: [alg],
      })
      t.same(verified.protectedHeader, { alg, typ: 'at+jwt', kid: pair.kid })
      t.same(Buffer.from(verified.payload).toString(), '"x"')

      const stranger = await cachedKeys(alg)
      await t.rejects(compactVerify(jws, await importJWK({ ...stranger.publicJwk }, alg)), {
        code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
      })
    },
  )

  t.test(
    `${alg}: the self-test rejects the private key of another key pair (docs/security.md Q8)`,
    async (t) => {
      const [one, two] = await Promise.all([cachedKeys(alg), cachedKeys(alg)])
      const row = ringKey({ kid: one.kid, alg, publicJwk: one.publicJwk })
      await t.resolves(importAndTest(row, one.privatePem))
      await t.rejects(importAndTest(row, two.privatePem), { name: 'KeyMismatch' })
      await t.rejects(importAndTest({ ...row, alg: 'HS256' }, one.privatePem), { name: 'KeyMismatch' })
      await t.rejects(importAndTest(row, 'no key'), { name: 'KeyMismatch' })
    },
  )
}

t.test(
  'RSA keys have the requested size, and 2048 bits by default (RFC 7517 §4; docs/security.md H91)',
  async (t) => {
    t.equal(bitsOf((await generateKey('RS256')).publicJwk), 2048)
    t.equal(bitsOf((await generateKey('PS256', 3072)).publicJwk), 3072)
    t.equal(bitsOf((await generateKey('ES256')).publicJwk), undefined)
  },
)

t.test(
  'only listed names are algorithms: no symmetric ones, no none, and no inherited properties (RFC 8725 §3.1, §3.2; docs/security.md B24)',
  async (t) => {
    for (const name of names) t.equal(algorithmNamed(name), name)
    t.equal(
      algorithmNamed('Ed25519'),
      'EdDSA',
      'the name of RFC 9864 §2.2 is accepted, and the older one is written',
    )
    for (const name of ['none', 'HS256', 'rs256', 'toString', '__proto__', 'constructor', '']) {
      t.notOk(isAlgorithm(name), name)
      t.equal(algorithmNamed(name), undefined, name)
    }
  },
)

t.test(
  'the JWKS has only public members, each key once, with its alg and use (RFC 7517 §4, RFC 8725 §3.1; docs/security.md H91, H93)',
  async (t) => {
    const [active, next, fresh] = [await newKeys(), await newKeys(), await newKeys()]
    const lanes = names.map((alg) => ({ active: active[alg], next: next[alg] }))
    const first = createRing(lanes as [NewLane], 100)
    const newNexts = names.map((alg) => fresh[alg])
    const rotated = rotate(first, newNexts, 200)
    const replacement = await newKey('ES256')
    const later = revoke(rotated, fresh.ES256.kid, replacement, 300)
    for (const ring of [first, rotated, later]) {
      const { keys } = jwks(ring)
      for (const key of keys) {
        const { publicMembers } = algorithms[key.alg as AlgorithmName]
        t.same(Object.keys(key).sort(), [...publicMembers, 'kid', 'use', 'alg'].sort())
        for (const member of PRIVATE_MEMBERS) t.notOk(member in key, member)
        t.equal(key.use, 'sig')
        t.equal(key.kid, await calculateJwkThumbprint(key))
      }
      t.equal(new Set(keys.map((key) => key.kid)).size, keys.length, 'distinct kids')
      t.notMatch(JSON.stringify(keys), /encrypted|"d"|PRIVATE/)
    }
    t.same(
      jwks(later)
        .keys.filter((key) => key.alg === 'ES256')
        .map((key) => key.kid),
      [active.ES256.kid, next.ES256.kid, replacement.kid],
      'a revoked key is not in it',
    )
  },
)
