/** The cache of verified tokens: what a hit saves, and what it does not. */
import t from 'tap'
import { fakeIssuer, verdict } from '../support/issuers/fake-issuer.ts'

t.test('a cached token is not verified again, and gives the same claims', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  const token = await issuer.token()
  const first = await verifier.verify(token)
  t.equal(await verifier.verify(token), first)
  t.not(await verifier.verify(await issuer.token({ jti: 'another' })), first)
  t.not(await issuer.verifier().verify(token), first, 'each verifier has its own cache')
})

t.test('a cached token expires like any other (RFC 9068 §4)', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier({ leeway: 0 })
  const token = await issuer.token({ exp: issuer.time.now() + 10 })
  issuer.time.tick(9)
  t.equal(await verdict(verifier, token), 'accepted')
  issuer.time.tick(1)
  t.equal(await verdict(verifier, token), 'expired')
})

t.test('a cached token is refused as not yet valid when the clock is set back', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  const token = await issuer.token()
  t.equal(await verdict(verifier, token), 'accepted')
  issuer.time.tick(-100)
  t.equal(await verdict(verifier, token), 'not_yet_valid')
})

t.test('only the same token is a hit', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  const token = await issuer.token()
  t.equal(await verdict(verifier, token), 'accepted')
  const [header, payload, signature = ''] = token.split('.')
  const other = (await issuer.token({ sub: 'root' })).split('.')
  t.equal(await verdict(verifier, `${header}.${other[1]}.${signature}`), 'bad_signature')
  t.equal(await verdict(verifier, `${header}.${payload}.${other[2]}`), 'bad_signature')
  t.equal(await verdict(verifier, `${header}.${payload}.${signature.slice(0, -4)}AAAA`), 'bad_signature')
  t.equal(await verdict(verifier, `${header}.${payload}.`), 'malformed')
})

t.test(
  'a token that only shares the signature of a cached token is not a hit, however long ago that was cached',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const verifier = issuer.verifier({ cacheSize: 2 })
    const token = await issuer.token()
    t.equal(await verdict(verifier, token), 'accepted')
    t.equal(await verdict(verifier, await issuer.token({ jti: 'another' })), 'accepted')
    const other = (await issuer.token({ sub: 'root' })).split('.')
    t.equal(await verdict(verifier, `${other[0]}.${other[1]}.${token.split('.')[2]}`), 'bad_signature')
  },
)

t.test('a fetch of unchanged keys keeps the cached tokens', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  const token = await issuer.token()
  const claims = await verifier.verify(token)
  await verifier.ready()
  t.equal(issuer.count(), 2)
  t.equal(await verifier.verify(token), claims)
})

t.test('a refused token is not cached', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  const token = await issuer.token({ aud: 'https://other.example' })
  t.equal(await verdict(verifier, token), 'wrong_audience')
  t.equal(await verdict(verifier, token), 'wrong_audience')
})

t.test('at most cacheSize tokens are cached, and those in use stay', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier({ cacheSize: 10 })
  const used = await issuer.token({ jti: 'used' })
  const early = await issuer.token({ jti: 'early' })
  const [usedClaims, earlyClaims] = [await verifier.verify(used), await verifier.verify(early)]
  for (let i = 0; i < 30; i += 1) {
    await verifier.verify(await issuer.token({ jti: `${i}` }))
    t.equal(await verifier.verify(used), usedClaims)
  }
  t.not(await verifier.verify(early), earlyClaims)
})

t.test('with cacheSize 0, and beyond 4,096 characters, no token is cached', async (t) => {
  const issuer = await fakeIssuer(t)
  const none = issuer.verifier({ cacheSize: 0 })
  const token = await issuer.token()
  t.not(await none.verify(token), await none.verify(token))
  const verifier = issuer.verifier()
  const long = await issuer.token({ filler: 'x'.repeat(3000) })
  t.ok(long.length > 4096)
  t.not(await verifier.verify(long), await verifier.verify(long))
})
