/** Which keys of a JWK Set are used (RFC 7517, RFC 7518 §3.3, RFC 8725 §3.5). */
import { generateKeyPairSync } from 'node:crypto'
import { exportJWK, generateKeyPair } from 'jose'
import t from 'tap'
import { fakeIssuer, type SigningKey, signingKey, verdict } from '../support/issuers/fake-issuer.ts'

t.test('a JWK Set', async (t) => {
  const issuer = await fakeIssuer(t)
  const { key, time } = issuer
  const { jwk } = key

  /** The verdict about a valid token if the issuer publishes this JWKS. */
  async function published(keys: unknown[], signer: SigningKey = key): Promise<string> {
    issuer.keys = keys
    return verdict(issuer.verifier(), await issuer.token({}, {}, signer))
  }

  await t.test(
    'a key for signatures is used, whether use or key_ops says so (RFC 7517 §4.2, §4.3)',
    async (t) => {
      for (const more of [
        {},
        { use: undefined },
        { use: undefined, key_ops: ['verify'] },
        { key_ops: ['sign', 'verify'] },
      ]) {
        t.equal(await published([{ ...jwk, ...more }]), 'accepted', JSON.stringify(more))
      }
    },
  )

  await t.test('a key for another use is not used (RFC 7517 §4.2, §4.3)', async (t) => {
    const other = [
      { use: 'enc' },
      { use: 'SIG' },
      { use: 5 },
      { use: null },
      { key_ops: ['encrypt'] },
      { key_ops: [] },
      { key_ops: 'verify' },
    ]
    for (const more of other)
      t.equal(await published([{ ...jwk, ...more }]), 'unknown_key', JSON.stringify(more))
  })

  await t.test(
    'a key without alg is used with the first accepted algorithm of its type, and a key for another algorithm is not used',
    async (t) => {
      t.equal(await published([{ ...jwk, alg: undefined }]), 'accepted')
      for (const alg of ['PS256', 'RS512', 'HS256', 'none', 'RSA-OAEP', '', 5, null, 'toString']) {
        t.equal(await published([{ ...jwk, alg }]), 'unknown_key', String(alg))
      }
    },
  )

  await t.test('a key whose type does not fit its algorithm is not used', async (t) => {
    const { x, y } = await exportJWK((await generateKeyPair('ES256', { extractable: true })).publicKey)
    t.equal(await published([{ kty: 'EC', crv: 'P-256', x, y, kid: key.kid, alg: 'RS256' }]), 'unknown_key')
    const accepting = issuer.verifier({ algorithms: ['RS256', 'ES256'] })
    issuer.keys = [{ ...jwk, alg: 'ES256' }]
    t.equal(await verdict(accepting, await issuer.token()), 'unknown_key')
  })

  await t.test(
    'an RSA key of 1024 bits is refused, although the signature is valid (RFC 7518 §3.3)',
    async (t) => {
      const pair = generateKeyPairSync('rsa', { modulusLength: 1024 })
      const small: SigningKey = {
        ...key,
        jwk: {
          ...(pair.publicKey.export({ format: 'jwk' }) as object),
          kid: key.kid,
          alg: 'RS256',
          use: 'sig',
        },
      }
      t.equal(await published([small.jwk]), 'unknown_key')
      t.equal(await published([small.jwk, jwk]), 'accepted', 'and does not hide the good key')
    },
  )

  await t.test('an RSA exponent that makes signatures worthless is refused', async (t) => {
    for (const e of ['AQ', 'AA', 'Ag', '']) {
      t.equal(await published([{ ...jwk, e }]), 'unknown_key', JSON.stringify(e))
    }
    t.equal(
      await published([{ ...jwk, e: `Af${'_'.repeat(40)}` }]),
      'unknown_key',
      'one that makes them slow',
    )
  })

  await t.test('garbage in the set does not affect the good keys', async (t) => {
    const own = await signingKey('second')
    const garbage = [
      null,
      5,
      'x',
      [],
      {},
      { kty: 'RSA' },
      { kid: 'a' },
      { ...jwk, kid: undefined },
      { ...jwk, kid: 5 },
      { ...jwk, kid: '' },
      { ...jwk, kid: 'b', n: 'AQAB' },
      { ...jwk, kid: 'c', n: '!!' },
      { ...jwk, kid: 'd', n: 5 },
      { ...jwk, kid: 'e', e: undefined },
      { ...jwk, kid: 'f', kty: 'rsa' },
      { ...jwk, kid: 'g', kty: { x: 1 } },
      { kty: 'oct', k: 'c2VjcmV0', kid: 'h', alg: 'HS256' },
      { kty: 'EC', crv: 'P-256', x: 'AQ', y: 'AQ', kid: 'i', alg: 'ES256' },
      { kty: 'AKP', pub: 'x', kid: 'j', alg: 'ML-DSA-65' },
    ]
    t.equal(await published([...garbage, jwk, ...garbage, own.jwk]), 'accepted')
    t.equal(await verdict(issuer.verifier(), await issuer.token({}, {}, own)), 'accepted')
    t.equal(await published(garbage), 'unknown_key')
  })

  await t.test('thousands of unusable keys do not hide the good one', async (t) => {
    const garbage = Array.from({ length: 2000 }, (_, i) => ({
      kty: 'RSA',
      kid: `x${i}`,
      alg: 'RS256',
      n: 'AQ',
      e: 'AQAB',
    }))
    t.equal(await published([...garbage, jwk]), 'accepted')
  })

  await t.test(
    'the first of two keys with one kid is used, so an appended key replaces none (RFC 7517 §4.5)',
    async (t) => {
      const other = await signingKey(key.kid)
      t.equal(await published([jwk, other.jwk]), 'accepted')
      t.equal(await published([jwk, other.jwk], other), 'bad_signature')
      t.equal(
        await published([{ ...jwk, use: 'enc' }, other.jwk], other),
        'accepted',
        'the first that may verify',
      )
    },
  )

  await t.test('a private key that was published by mistake is read as a public key', async (t) => {
    t.equal(await published([await exportJWK(key.private).then((all) => ({ ...all, ...jwk }))]), 'accepted')
  })

  await t.test('a document that is not a JWK Set leaves the keys unchanged', async (t) => {
    issuer.keys = [jwk]
    const verifier = issuer.verifier()
    t.equal(await verdict(verifier, await issuer.token()), 'accepted')
    for (const body of ['', '{', 'null', '[]', '5', '{"keys":{}}', '{"keys":null}', '<html>']) {
      issuer.routes.set('/jwks.json', (_, response) => response.end(body))
      time.tick(300)
      t.equal(await verdict(verifier, await issuer.token()), 'accepted', body)
    }
    issuer.routes.clear()
  })
})
