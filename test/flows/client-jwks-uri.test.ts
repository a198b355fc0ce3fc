import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import type { FetchJwks } from '../../src/oauth/client-auth/client-keys.ts'
import { createFetchJwks, JWKS_FETCH_LIMITS } from '../../src/oauth/client-auth/fetch-jwks.ts'
import { parseClientJwks, usableClientJwks } from '../../src/oauth/client-registration/client-jwks.ts'
import { assertionServer } from '../support/server/client-assertions.ts'
import { refused } from '../support/server/error-responses.ts'
import { type ClientKey, clientKey } from '../support/server/jws.ts'
import { HANG_MS } from '../support/server/waiting.ts'

/** Short only while a test waits for it. */
let milliseconds = HANG_MS
/** Fetches by URI. On a busy machine a short limit can pass before the request has reached the client’s server. */
const fetches = new Map<string, number>()
const fetchJwks: FetchJwks = (uri) => {
  fetches.set(uri, (fetches.get(uri) ?? 0) + 1)
  return createFetchJwks({ ...JWKS_FETCH_LIMITS, milliseconds })(uri)
}

/** The client’s own server: real HTTP, with a count of its requests. */
async function clientServer(t: Test) {
  let answer: RequestListener = (_request, response) => response.end()
  let requestCount = 0
  const web = createServer((request, response) => {
    requestCount += 1
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  const { port } = web.address() as { port: number }
  const close = () => {
    web.closeAllConnections()
    web.close()
  }
  t.teardown(close)
  const uri = `http://127.0.0.1:${port}/jwks.json`
  return {
    uri,
    close,
    fetchCount: () => fetches.get(uri) ?? 0,
    requestCount: () => requestCount,
    answers(next: (response: ServerResponse) => unknown) {
      answer = (_request, response) => next(response)
    },
    publish(...keys: ClientKey[]) {
      const body = JSON.stringify({ keys: keys.map(({ jwk }) => jwk) })
      answer = (_request, response) =>
        response.setHeader('content-type', 'application/jwk-set+json').end(body)
    },
  }
}

const { server, register, make, present, accepted } = await assertionServer(t, { fetchJwks })
let clients = 0

/** A new client with its own server. */
async function remote(t: Test) {
  const web = await clientServer(t)
  const key = clientKey('ES256', 'first')
  web.publish(key)
  clients += 1
  const client = `remote ${clients}`
  await register(client, [], { jwks: null, jwksUri: web.uri })
  return { web, key, sign: (by: ClientKey = key) => make({ client, key: by }) }
}

const UNKNOWN = { status: 401, error: 'invalid_client' }
const UNAVAILABLE = { status: 503, error: 'temporarily_unavailable' }

t.test(
  'a client’s remote keys are fetched once and cached (RFC 7517 §5, OpenID Connect Core §10.1.1; docs/security.md B27)',
  async (t) => {
    const { web, sign } = await remote(t)
    for (let i = 0; i < 5; i += 1) await accepted(t, sign(), `request ${i}`)
    t.equal(web.fetchCount(), 1)
  },
)

t.test(
  'concurrent requests share one fetch of a client’s keys (RFC 7517 §5, OpenID Connect Core §10.1.1; docs/security.md B27)',
  async (t) => {
    const { web, sign } = await remote(t)
    const answers = await Promise.all(Array.from({ length: 20 }, () => present(sign())))
    t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [200])
    t.equal(web.fetchCount(), 1)
  },
)

t.test(
  'a new key at the client is found by its unknown kid (RFC 7517 §5, OpenID Connect Core §10.1.1; docs/security.md B27)',
  async (t) => {
    const { web, key, sign } = await remote(t)
    await accepted(t, sign(), 'the old key')
    const next = clientKey('ES256', 'second')
    web.publish(next)
    refused(t, await present(sign(next)), UNKNOWN, 'not fetched again within the cool-down')
    server.clock.tick(30)
    await accepted(t, sign(next), 'after the cool-down')
    t.equal(web.fetchCount(), 2)
    refused(t, await present(sign(key)), UNKNOWN, 'the old key is gone with the new document')
  },
)

t.test(
  'a flood of unknown kids causes one fetch per cool-down and does not affect other clients (RFC 7517 §5, OpenID Connect Core §10.1.1; docs/security.md B27)',
  async (t) => {
    const { web, sign } = await remote(t)
    await accepted(t, sign(), 'first')
    for (let window = 1; window <= 3; window += 1) {
      server.clock.tick(31)
      const flood = Array.from({ length: 50 }, (_, i) =>
        present(sign(clientKey('EdDSA', `invented kid ${i}`))),
      )
      const answers = await Promise.all(flood)
      t.ok(answers.every(({ statusCode }) => statusCode === 401))
      t.equal(web.fetchCount(), 1 + window, `window ${window}`)
      await accepted(t, sign(), 'the real key meanwhile')
    }
    t.equal(web.fetchCount(), 4)
  },
)

t.test(
  'a key removed from the client’s document is dropped at the next refresh (RFC 7517 §5, OpenID Connect Core §10.1.1; docs/security.md B27)',
  async (t) => {
    const { web, sign } = await remote(t)
    await accepted(t, sign(), 'while the key is published')
    web.publish(clientKey('ES256', 'another'))
    server.clock.tick(601)
    refused(t, await present(sign()), UNKNOWN, 'ten minutes later')
    t.equal(web.fetchCount(), 2)
  },
)

/** What only the time limit ends. */
const ENDLESS: Record<string, (response: ServerResponse) => unknown> = {
  'a hung connection': () => {},
  'a body that never ends': (response) => response.write('{"keys":['),
}

/** What a client’s server may do instead of sending its keys. */
const FAILURES: Record<string, (response: ServerResponse) => unknown> = {
  'an error': (response) => response.writeHead(500).end('{"keys":[]}'),
  'not found': (response) => response.writeHead(404).end(),
  'a redirect': (response) => response.writeHead(302, { location: '/elsewhere' }).end(),
  'no JSON': (response) => response.end('<html>'),
  'no keys': (response) => response.end('{}'),
  null: (response) => response.end('null'),
  'keys that are no list': (response) => response.end('{"keys":{}}'),
  'keys that are no objects': (response) => response.end('{"keys":[1,null,"x"]}'),
  nothing: (response) => response.end(),
  'a megabyte': (response) => response.end(`{"keys":[${' '.repeat(1 << 20)}]}`),
  'an endless body': (response) => {
    const more = () =>
      response.destroyed || response.write('x'.repeat(4096)) ? setImmediate(more) : undefined
    more()
  },
  'a connection that breaks': (response) => response.destroy(),
  ...ENDLESS,
}

const timeLimit = (failure: string) => (failure in ENDLESS ? 100 : HANG_MS)

t.test(
  'while the client’s server fails the cached keys remain in use (RFC 7517 §5, OpenID Connect Core §10.1.1; docs/security.md B27, Q19)',
  async (t) => {
    const { web, key, sign } = await remote(t)
    for (const [failure, answer] of Object.entries(FAILURES)) {
      web.publish(key)
      milliseconds = HANG_MS
      server.clock.tick(601)
      await accepted(t, sign(), `before ${failure}`)
      web.answers(answer)
      milliseconds = timeLimit(failure)
      server.clock.tick(601)
      const before = web.fetchCount()
      await accepted(t, sign(), `in spite of ${failure}`)
      refused(t, await present(sign(clientKey('ES256', 'unknown'))), UNKNOWN, failure)
      t.equal(web.fetchCount(), before + 1, `${failure}: one fetch`)
    }
    milliseconds = HANG_MS
    web.close()
    server.clock.tick(601)
    await accepted(t, sign(), 'with no server listening')
  },
)

t.test(
  'a client whose keys were never fetched gets 503, with one fetch per cool-down, until the fetch succeeds (RFC 7517 §5, OpenID Connect Core §10.1.1; docs/security.md B27)',
  async (t) => {
    for (const [failure, answer] of Object.entries(FAILURES)) {
      const { web, key, sign } = await remote(t)
      web.answers(answer)
      milliseconds = timeLimit(failure)
      const text = sign()
      const first = await present(text)
      refused(t, first, UNAVAILABLE, failure)
      t.equal(first.headers['retry-after'], '30', failure)
      for (let i = 0; i < 5; i += 1) refused(t, await present(sign()), UNAVAILABLE, failure)
      t.equal(web.fetchCount(), 1, `${failure}: one fetch`)
      web.publish(key)
      milliseconds = HANG_MS
      server.clock.tick(31)
      await accepted(t, text, `after ${failure}, with the same assertion that could not be checked`)
      t.equal(web.fetchCount(), 2)
    }
  },
)

t.test('a redirect of the jwks_uri is not followed (RFC 8725 §3.10; docs/security.md B27)', async (t) => {
  const { web, sign } = await remote(t)
  const elsewhere = await clientServer(t)
  elsewhere.publish(clientKey('ES256', 'first'))
  for (const status of [301, 302, 303, 307, 308]) {
    web.answers((response) => response.writeHead(status, { location: elsewhere.uri }).end())
    refused(t, await present(sign()), UNAVAILABLE, String(status))
  }
  t.equal(elsewhere.requestCount(), 0)
})

t.test('one malformed key in the document does not affect the others', async (t) => {
  const { web, key, sign } = await remote(t)
  const broken = { kty: 'EC', crv: 'P-256', kid: 'broken', x: 'AA', y: 'AA' }
  const secret = { kty: 'oct', k: 'AAAA', kid: 'secret', alg: 'HS256' }
  const body = JSON.stringify({ keys: [broken, secret, {}, key.jwk] })
  web.answers((response) => response.end(body))
  await accepted(t, sign(), 'the valid key')
  refused(t, await present(sign({ ...key, kid: 'broken' })), UNKNOWN)
})

t.test(
  'only keys that a client could register are used from its document (RFC 8725 §3.5; docs/security.md B28)',
  async (t) => {
    const { web, key, sign } = await remote(t)
    const publish = (...keys: unknown[]) => {
      const body = JSON.stringify({ keys })
      web.answers((response) => response.end(body))
      server.clock.tick(601)
    }
    const rsa = (bits: number, exponent: number) => {
      const { privateKey, publicKey } = generateKeyPairSync('rsa', {
        modulusLength: bits,
        publicExponent: exponent,
      })
      const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'rsa', alg: 'RS256', use: 'sig' }
      return { kid: 'rsa', alg: 'RS256', privateKey, publicKey, jwk }
    }
    const good = rsa(2048, 65_537)
    publish(good.jwk)
    await accepted(t, sign(good), 'an ordinary RSA key')
    for (const [label, bad] of Object.entries({
      '1024 bits': rsa(1024, 65_537),
    })) {
      publish(bad.jwk, key.jwk)
      refused(t, await present(sign(bad)), UNKNOWN, label)
      await accepted(t, sign(), `${label}: the other key is still used`)
    }
    const ones = (bytes: number, first = 0xff) =>
      Buffer.concat([Buffer.of(first), Buffer.alloc(bytes - 1, 0xff)]).toString('base64url')
    for (const [label, changed] of Object.entries({
      '16,384 bits': { n: ones(2048) },
      '8,193 bits': { n: ones(1025, 1) },
      '2,047 bits': { n: ones(256, 0x7f) },
      'an exponent of 64 bits': { e: ones(8) },
      'an exponent of 33 bits': { e: Buffer.from([1, 0, 0, 0, 1]).toString('base64url') },
      'an exponent of 1': { e: 'AQ' },
      'an even exponent': { e: 'BA' },
    })) {
      const bad = { ...good.jwk, ...changed }
      publish(bad, key.jwk)
      refused(t, await present(sign(good)), UNKNOWN, label)
      await accepted(t, sign(), `${label}: the other key is still used`)
      t.same(usableClientJwks({ keys: [bad] }).keys, [], `${label}: the key is not even tried`)
      t.throws(() => parseClientJwks({ keys: [bad] }), /RSA key/, `${label}: nor can it be registered`)
    }
    for (const [label, changed] of Object.entries({
      '8,192 bits': { n: ones(1024) },
      '2,048 bits': { n: ones(256) },
      'an exponent of 32 bits': { e: ones(4) },
      'an exponent of 3': { e: 'Aw' },
    })) {
      const keys = [{ ...good.jwk, ...changed }]
      t.same(usableClientJwks({ keys }).keys, keys, label)
      t.same(parseClientJwks({ keys }).keys, keys, `${label}, registered`)
    }
  },
)

t.test('a document with more than ten keys is not used (RFC 7517 §5; docs/security.md B28)', async (t) => {
  const { web, key, sign } = await remote(t)
  const others = Array.from({ length: 10 }, (_, i) => clientKey('ES256', `other ${i}`))
  web.publish(...others.slice(1), key)
  await accepted(t, sign(), 'ten keys')
  web.publish(...others, key)
  server.clock.tick(601)
  await accepted(t, sign(), 'the earlier document stays in use')
  refused(t, await present(sign(others[0])), UNKNOWN, 'none of the eleven keys is used')
  const { web: fresh, sign: signFresh } = await remote(t)
  fresh.publish(...others, clientKey('ES256', 'first'))
  refused(t, await present(signFresh()), UNAVAILABLE, 'a document that was never usable')
})

t.test('a private key in the client’s document is not used', async (t) => {
  const { web, key, sign } = await remote(t)
  const body = JSON.stringify({ keys: [{ ...key.privateKey.export({ format: 'jwk' }), kid: key.kid }] })
  web.answers((response) => response.end(body))
  refused(t, await present(sign()), UNKNOWN)
})
