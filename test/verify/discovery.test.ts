/** Finding the keys: RFC 8414 §3, OpenID Connect Discovery §4. */
import t, { type Test } from 'tap'
import type { Verifier } from '../../packages/verify/index.ts'
import {
  type FakeIssuer,
  fakeIssuer,
  JWKS,
  METADATA,
  OPENID,
  signed,
  signingKey,
  verdict,
} from '../support/issuers/fake-issuer.ts'

const answer = (issuer: FakeIssuer, path: string, body: unknown, status = 200) =>
  issuer.routes.set(path, (_, response) => response.writeHead(status).end(JSON.stringify(body)))

t.test('the keys are found with one request for the metadata of RFC 8414', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  for (let i = 0; i < 3; i += 1)
    t.equal(await verdict(verifier, await issuer.token({ jti: `${i}` })), 'accepted')
  t.same(issuer.requests, [METADATA, JWKS])
})

t.test('the keys are found with OpenID Connect Discovery if there is no metadata of RFC 8414', async (t) => {
  const issuer = await fakeIssuer(t)
  answer(issuer, METADATA, {}, 404)
  answer(issuer, OPENID, { issuer: issuer.issuer, jwks_uri: issuer.origin + JWKS })
  t.equal(await verdict(issuer.verifier(), await issuer.token()), 'accepted')
  t.same(issuer.requests, [METADATA, OPENID, JWKS])
})

t.test('the path of an issuer comes after the well-known part, or before it (RFC 8414 §3.1)', async (t) => {
  const issuer = await fakeIssuer(t, { path: '/tenant/1' })
  t.equal(await verdict(issuer.verifier(), await issuer.token()), 'accepted')
  t.same(issuer.requests, [`${METADATA}/tenant/1`, JWKS])
  answer(issuer, `${METADATA}/tenant/1`, {}, 404)
  answer(issuer, `/tenant/1${OPENID}`, { issuer: issuer.issuer, jwks_uri: issuer.origin + JWKS })
  t.equal(await verdict(issuer.verifier(), await issuer.token()), 'accepted')
  t.same(issuer.requests.slice(2), [`${METADATA}/tenant/1`, `/tenant/1${OPENID}`, JWKS])
})

t.test(
  'a final slash of the issuer is dropped in the address of the metadata, but kept in the name of the issuer',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const slashed = `${issuer.issuer}/`
    answer(issuer, METADATA, { issuer: slashed, jwks_uri: issuer.origin + JWKS })
    t.equal(
      await verdict(issuer.verifier({ issuer: slashed }), await issuer.token({ iss: slashed })),
      'accepted',
    )
    t.equal(await verdict(issuer.verifier({ issuer: slashed }), await issuer.token()), 'wrong_issuer')
  },
)

t.test('metadata is refused unless its issuer matches exactly (RFC 8414 §3.3)', async (t) => {
  const issuer = await fakeIssuer(t)
  for (const name of [`${issuer.issuer}/`, issuer.issuer.toUpperCase(), 'https://elsewhere.example']) {
    answer(issuer, METADATA, { issuer: name, jwks_uri: issuer.origin + JWKS })
    await misconfigured(t, issuer.verifier(), issuer.issuer, name)
  }
  for (const name of [undefined, null, [issuer.issuer]]) {
    answer(issuer, METADATA, { issuer: name, jwks_uri: issuer.origin + JWKS })
    t.equal(await verdict(issuer.verifier(), await issuer.token()), 'keys_unavailable', String(name))
  }
  t.equal(issuer.count(), 0, 'its keys are not fetched')
})

/** The verifier says that its issuer is wrong, and names the two texts that differ. */
async function misconfigured(t: Test, verifier: Verifier, configured: string, found: string): Promise<void> {
  const message = new RegExp(`issuer is "${configured}", but .* of the issuer "${found}"`)
  const label = `${configured} instead of ${found}`
  await t.rejects(verifier.ready(), { name: 'ConfigurationError', message }, label)
  await t.rejects(verifier.verify('a.b.c'), { code: 'malformed' }, label)
  const token = await signed({}, { alg: 'RS256', typ: 'at+jwt', kid: 'key-1' }, await signingKey('key-1'))
  await t.rejects(verifier.verify(token), { name: 'ConfigurationError', message }, label)
}

t.test(
  'a wrong slash, host or path of the issuer is a configuration error that names both texts (RFC 8414 §3.3)',
  async (t) => {
    const plain = await fakeIssuer(t)
    const { issuer: right, origin } = plain
    const slash = `${right}/`
    await misconfigured(t, plain.verifier({ issuer: slash }), slash, right)
    const host = origin.replace('127.0.0.1', 'localhost')
    await misconfigured(t, plain.verifier({ issuer: host }), host, right)
    const path = `${origin}/auth`
    await misconfigured(t, plain.verifier({ issuer: path }), path, right)

    const tenant = await fakeIssuer(t, { path: '/tenant' })
    const tooShort = tenant.verifier({ issuer: tenant.origin })
    const message = /issuer is ".*", but the server has no metadata of this issuer \(404 at .* and .*\)/
    await t.rejects(tooShort.ready(), { name: 'ConfigurationError', message })
    const other = tenant.verifier({ issuer: `${tenant.origin}/other` })
    await t.rejects(other.ready(), { name: 'ConfigurationError', message })
  },
)

t.test('a verifier with a wrong issuer recovers when the issuer’s metadata is corrected', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  answer(issuer, METADATA, { issuer: 'https://staging.example', jwks_uri: issuer.origin + JWKS })
  await t.rejects(verifier.ready(), { name: 'ConfigurationError' })
  issuer.routes.clear()
  issuer.time.tick(1)
  t.equal(await verdict(verifier, await issuer.token()), 'accepted')
})

t.test('the cause of wrong_issuer names both issuers, for the log', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier({ jwksUri: issuer.origin + JWKS })
  const iss = `${issuer.issuer}/`
  await t.rejects(verifier.verify(await issuer.token({ iss })), {
    code: 'wrong_issuer',
    message: 'the token was issued by another issuer',
    cause: { message: `iss is "${iss}", the option issuer is "${issuer.issuer}"` },
  })
})

t.test('malformed metadata and metadata without jwks_uri make the keys unavailable', async (t) => {
  const issuer = await fakeIssuer(t)
  const { issuer: name } = issuer
  for (const body of [
    null,
    5,
    [],
    {},
    { issuer: name },
    { issuer: name, jwks_uri: 5 },
    { issuer: name, jwks_uri: 'not a URL' },
  ]) {
    answer(issuer, METADATA, body)
    t.equal(await verdict(issuer.verifier(), await issuer.token()), 'keys_unavailable', JSON.stringify(body))
  }
  issuer.routes.set(METADATA, (_, response) => response.end('<html>'))
  t.equal(await verdict(issuer.verifier(), await issuer.token()), 'keys_unavailable')
})

t.test('an issuer on https must not name keys on plain http, and no issuer may name a file', async (t) => {
  const issuer = await fakeIssuer(t)
  const plain = issuer.origin + JWKS
  const requestedPaths: string[] = []
  const https = issuer.verifier({
    issuer: 'https://issuer.example',
    fetch: async (url) => {
      requestedPaths.push(String(url))
      return Response.json({ issuer: 'https://issuer.example', jwks_uri: plain })
    },
  })
  t.equal(await verdict(https, await issuer.token({ iss: 'https://issuer.example' })), 'keys_unavailable')
  t.notOk(requestedPaths.includes(plain))
  answer(issuer, METADATA, { issuer: issuer.issuer, jwks_uri: 'file:///etc/passwd' })
  t.equal(await verdict(issuer.verifier(), await issuer.token()), 'keys_unavailable')
})

t.test('with jwksUri no metadata is fetched', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier({ jwksUri: issuer.origin + JWKS })
  t.equal(await verdict(verifier, await issuer.token()), 'accepted')
  t.same(issuer.requests, [JWKS])
})

t.test('keys that have moved are found at their new address', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  t.equal(await verdict(verifier, await issuer.token()), 'accepted')
  const second = await signingKey('second')
  answer(issuer, JWKS, {}, 404)
  answer(issuer, '/new.json', { keys: [second.jwk] })
  issuer.metadata.jwks_uri = `${issuer.origin}/new.json`
  issuer.time.tick(1)
  t.equal(await verdict(verifier, await issuer.token({}, {}, second)), 'keys_unavailable')
  issuer.time.tick(1)
  t.equal(await verdict(verifier, await issuer.token({}, {}, second)), 'accepted')
})

t.test('metadata is fetched again after an hour, and stays in use while that fails', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  const good = async () => verdict(verifier, await issuer.token())
  t.equal(await good(), 'accepted')
  issuer.time.tick(3601)
  t.equal(await good(), 'accepted')
  t.equal(issuer.count(METADATA), 2)
  answer(issuer, METADATA, {}, 500)
  issuer.time.tick(3601)
  t.equal(await good(), 'accepted')
  t.equal(issuer.count(METADATA), 3)
  t.equal(issuer.count(), 3, 'the keys were still fetched')
})

t.test(
  'redirects are not followed, because keys come only from the address in the metadata (RFC 8725 §3.10)',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const thief = await fakeIssuer(t, { key: await signingKey('key-1') })
    for (const path of [METADATA, JWKS]) {
      issuer.routes.clear()
      issuer.routes.set(path, (_, response) =>
        response.writeHead(302, { location: thief.origin + path }).end(),
      )
      t.equal(
        await verdict(issuer.verifier(), await issuer.token({}, {}, thief.key)),
        'keys_unavailable',
        path,
      )
    }
    t.equal(thief.requests.length, 0)
  },
)

t.test('metadata and keys that are too large are refused before they are read to the end', async (t) => {
  const issuer = await fakeIssuer(t)
  const endless = (response: import('node:http').ServerResponse) => {
    const chunk = Buffer.alloc(65_536, ' ')
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    }
    response.on('drain', more)
    more()
  }
  for (const path of [METADATA, JWKS]) {
    issuer.routes.clear()
    issuer.routes.set(path, (_, response) => endless(response))
    const patient = issuer.verifier({ timeoutMs: 1_000_000 })
    t.equal(await verdict(patient, await issuer.token()), 'keys_unavailable', path)
  }
})

t.test('everything can be fetched from a mirror, and is checked as if it came from the issuer', async (t) => {
  const issuer = await fakeIssuer(t)
  const mirror = await fakeIssuer(t)
  await issuer.stop()
  mirror.routes.set(`/copy${METADATA}`, (_, response) =>
    response.end(JSON.stringify({ issuer: issuer.issuer, jwks_uri: issuer.origin + JWKS })),
  )
  mirror.routes.set(`/copy${JWKS}`, (_, response) => response.end(JSON.stringify({ keys: issuer.keys })))
  for (const slash of ['', '/']) {
    const verifier = issuer.verifier({ mirror: `${mirror.origin}/copy${slash}` })
    t.equal(await verdict(verifier, await issuer.token()), 'accepted')
  }
  mirror.routes.delete(`/copy${METADATA}`)
  mirror.routes.set(`/copy${METADATA}`, (_, response) =>
    response.end(JSON.stringify({ issuer: mirror.issuer, jwks_uri: mirror.origin + JWKS })),
  )
  const fooled = issuer.verifier({ mirror: `${mirror.origin}/copy` })
  await t.rejects(fooled.verify(await issuer.token()), { name: 'ConfigurationError' })
})
