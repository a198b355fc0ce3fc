/** Revocation without a request per token: the Token Status List (draft-ietf-oauth-status-list). */
import { deflateSync } from 'node:zlib'
import { decodeJwt } from 'jose'
import t, { type Test } from 'tap'
import type { VerifierOptions } from '../../packages/verify/index.ts'
import { statusAt } from '../../packages/verify/status-list.ts'
import {
  createStatusListPoller,
  type StatusListPollerDeps,
} from '../../packages/verify/status-list-poller.ts'
import {
  AUDIENCE,
  type FakeIssuer,
  fakeIssuer,
  signed,
  signingKey,
  verdict,
} from '../support/issuers/fake-issuer.ts'
import { HANG_MS, isPending, turns, until } from '../support/server/waiting.ts'

const LIST = '/status-lists/0'

interface ListOptions {
  readonly bits?: number
  readonly size?: number
  /** By index. */
  readonly values?: Record<number, number>
  readonly claims?: Record<string, unknown>
  readonly header?: Record<string, unknown>
  readonly lst?: string
}

/** Packs entries as §4.1 says, bit by bit, independently of the code under test. */
function packed(bits: number, size: number, values: Record<number, number>): Buffer {
  const bytes = Buffer.alloc(Math.ceil((size * bits) / 8))
  for (const [index, value] of Object.entries(values)) {
    for (let bit = 0; bit < bits; bit += 1) {
      const at = Number(index) * bits + bit
      if ((value >> bit) % 2 === 1) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7))
    }
  }
  return bytes
}

function listToken(issuer: FakeIssuer, path: string, options: ListOptions = {}): Promise<string> {
  const { bits = 1, size = 1024, values = {}, claims, header, lst } = options
  const bytes = lst ?? deflateSync(packed(bits, size, values)).toString('base64url')
  const now = issuer.time.now()
  return signed(
    {
      sub: issuer.origin + path,
      iat: now,
      exp: now + 3600,
      ttl: 10,
      status_list: { bits, lst: bytes },
      ...claims,
    },
    { alg: 'RS256', kid: issuer.key.kid, typ: 'statuslist+jwt', ...header },
    issuer.key,
  )
}

/** Publishes a list, and replaces the list that was published before. */
async function publish(issuer: FakeIssuer, options: ListOptions = {}, path = LIST): Promise<void> {
  const body = await listToken(issuer, path, options)
  issuer.routes.set(path, (_, response) =>
    response.writeHead(200, { 'content-type': 'application/statuslist+jwt' }).end(body),
  )
}

const entry = (issuer: FakeIssuer, idx: number, path = LIST) => ({
  status: { status_list: { idx, uri: issuer.origin + path } },
})

/** A verifier that has polled all lists. */
async function polled(issuer: FakeIssuer, options: Partial<VerifierOptions> = {}) {
  const verifier = issuer.verifier({ statusList: { uris: [issuer.origin + LIST] }, ...options })
  await verifier.ready()
  return {
    verifier,
    at: async (idx: number) => verdict(verifier, await issuer.token(entry(issuer, idx))),
  }
}

t.test(
  'every value of an entry of every size is read as it was written (Token Status List §4.1, §7.1)',
  async (t) => {
    const issuer = await fakeIssuer(t)
    for (const bits of [1, 2, 4, 8]) {
      const most = 2 ** bits - 1
      const values = { 0: most, 1: 0, 2: 1, 7: most, 8: 1, 9: 0, 500: most >> 1 || 1, 1023: most }
      await publish(issuer, { bits, values })
      const { at } = await polled(issuer)
      for (const [index, value] of Object.entries(values)) {
        t.equal(await at(Number(index)), value === 0 ? 'accepted' : 'revoked', `${bits} bits, entry ${index}`)
      }
      for (const index of [3, 6, 10, 499, 501, 1022])
        t.equal(await at(index), 'accepted', `${bits} bits, entry ${index}`)
    }
  },
)

t.test('the examples of the draft are read correctly (Token Status List §4.1, §4.2)', async (t) => {
  const read = (bits: number, hex: string) => ({
    bits,
    bytes: Buffer.from(hex, 'hex'),
    ttl: undefined,
    exp: undefined,
  })
  const one = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
  const two = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
  t.same(
    one.map((_, i) => statusAt(read(1, 'b9a3'), i)),
    one,
  )
  t.same(
    two.map((_, i) => statusAt(read(2, 'c944f9'), i)),
    two,
  )
  const issuer = await fakeIssuer(t)
  for (const [bits, lst, values] of [
    [1, 'eNrbuRgAAhcBXQ', one],
    [2, 'eNo76fITAAPfAgc', two],
  ] as const) {
    await publish(issuer, { bits, lst })
    const { at } = await polled(issuer)
    for (const [i, value] of values.entries()) t.equal(await at(i), value === 0 ? 'accepted' : 'revoked')
  }
})

t.test(
  'a token is refused as soon as the list says that it is revoked, cached or not, and others pass',
  async (t) => {
    const issuer = await fakeIssuer(t)
    await publish(issuer)
    const { verifier, at } = await polled(issuer)
    const token = await issuer.token(entry(issuer, 5))
    t.equal(await verdict(verifier, token), 'accepted')
    await publish(issuer, { values: { 5: 1 } })
    t.equal(await verdict(verifier, token), 'accepted', 'not known yet')
    await verifier.ready()
    t.equal(await verdict(verifier, token), 'revoked')
    t.equal(await at(5), 'revoked')
    t.equal(await at(6), 'accepted')
  },
)

t.test('a token without a status list is not looked up', async (t) => {
  const issuer = await fakeIssuer(t)
  const { verifier } = await polled(issuer, { statusList: { onStale: 'reject' } })
  for (const status of [undefined, {}, { other_kind: { x: 1 } }]) {
    t.equal(await verdict(verifier, await issuer.token({ status })), 'accepted')
  }
})

t.test(
  'an expired token is refused as expired, whatever its list says (Token Status List §7.1, §8.3)',
  async (t) => {
    const issuer = await fakeIssuer(t)
    await publish(issuer, { values: { 1: 1 } })
    const { verifier } = await polled(issuer)
    const token = await issuer.token({ ...entry(issuer, 1), exp: issuer.time.now() - 100 })
    t.equal(await verdict(verifier, token), 'expired')
  },
)

t.test('without the option statusList no list is fetched and no token is refused', async (t) => {
  const issuer = await fakeIssuer(t)
  await publish(issuer, { values: { 1: 1 } })
  const verifier = issuer.verifier()
  await verifier.ready()
  t.equal(await verdict(verifier, await issuer.token(entry(issuer, 1))), 'accepted')
  t.equal(issuer.count(LIST), 0)
})

t.test(
  'an index beyond the end of the list is refused with either policy, until the list has grown (Token Status List §8.3)',
  async (t) => {
    const issuer = await fakeIssuer(t)
    await publish(issuer, { size: 16 })
    const { verifier, at } = await polled(issuer)
    t.equal(await at(15), 'accepted')
    for (const idx of [16, 1e6, 2 ** 40, Number.MAX_SAFE_INTEGER])
      t.equal(await at(idx), 'status_unavailable', `${idx}`)
    await publish(issuer, { size: 32 })
    await verifier.ready()
    t.equal(await at(16), 'accepted')
  },
)

t.test(
  'a list is refused unless the issuer has signed it for this address (Token Status List §5.1, §8.3)',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const thief = await signingKey(issuer.key.kid)
    const now = issuer.time.now()
    const values = { 3: 1 }
    const wrong: Record<string, ListOptions> = {
      'another sub': { claims: { sub: `${issuer.origin}/status-lists/1` } },
      'no sub': { claims: { sub: undefined } },
      'another iss': { claims: { iss: 'https://elsewhere.example' } },
      'another typ': { header: { typ: 'JWT' } },
      'the typ of an access token': { header: { typ: 'at+jwt' } },
      'no typ': { header: { typ: undefined } },
      'another alg': { header: { alg: 'PS256' } },
      'an unknown kid': { header: { kid: 'made-up' } },
      'critical headers': { header: { crit: ['x'], x: 1 } },
      expired: { claims: { exp: now - 31 } },
      'exp of a wrong type': { claims: { exp: `${now + 100}` } },
      'of the future': { claims: { nbf: now + 31 } },
      'no iat': { claims: { iat: undefined } },
      'no list': { claims: { status_list: undefined } },
      'a list that is none': { claims: { status_list: 'x' } },
      'three bits': { bits: 3 },
      'no bits': { claims: { status_list: { lst: 'eNrbuRgAAhcBXQ' } } },
      'no lst': { claims: { status_list: { bits: 1 } } },
      'lst of a wrong type': { claims: { status_list: { bits: 1, lst: 5 } } },
      'not compressed': { lst: Buffer.alloc(100).toString('base64url') },
      'cut off': {
        lst: deflateSync(packed(1, 1024, values))
          .subarray(0, 8)
          .toString('base64url'),
      },
    }
    for (const [what, options] of Object.entries(wrong)) {
      await t.test(what, async (t) => {
        const body = await listToken(issuer, LIST, { values, ...options }).catch(() => '')
        issuer.routes.set(LIST, (_, response) => response.end(body))
        const { at } = await polled(issuer)
        t.equal(await at(3), 'accepted', 'the refused list revokes nothing')
        const { at: strict } = await polled(issuer, {
          statusList: { onStale: 'reject', uris: [issuer.origin + LIST] },
        })
        t.equal(await strict(4), 'status_unavailable', 'nor does the list count as fetched')
      })
    }
    const forged = await signed(
      { sub: issuer.origin + LIST, iat: now, status_list: { bits: 1, lst: 'eNrbuRgAAhcBXQ' } },
      { alg: 'RS256', kid: thief.kid, typ: 'statuslist+jwt' },
      thief,
    )
    for (const body of [forged, '', 'x', '<html>', '{}', 'a.b.c']) {
      issuer.routes.set(LIST, (_, response) => response.end(body))
      const { at } = await polled(issuer, { statusList: { onStale: 'reject', uris: [issuer.origin + LIST] } })
      t.equal(await at(1), 'status_unavailable', body.slice(0, 10))
    }
    await publish(issuer, { values })
    t.equal(await (await polled(issuer)).at(3), 'revoked', 'the correct list is accepted')
  },
)

t.test('a list token is not accepted as an access token, nor the reverse (RFC 8725 §3.12)', async (t) => {
  const issuer = await fakeIssuer(t)
  const list = await listToken(issuer, LIST, {
    claims: { aud: AUDIENCE, iss: issuer.issuer, client_id: 'web', jti: 'x' },
  })
  t.equal(await verdict(issuer.verifier(), list), 'not_an_access_token')
})

t.test('decompression stops at four megabytes', async (t) => {
  const issuer = await fakeIssuer(t)
  const lst = deflateSync(Buffer.alloc(200_000_000), { level: 9 }).toString('base64url')
  await publish(issuer, { lst })
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }, 1)
  const { at } = await polled(issuer, { statusList: { onStale: 'reject', uris: [issuer.origin + LIST] } })
  clearInterval(watch)
  t.equal(await at(1), 'status_unavailable')
  t.ok(most < 30_000_000, `${most} bytes`)
  const { at: tolerant } = await polled(issuer)
  t.equal(
    await tolerant(1),
    'status_unavailable',
    'with the policy `accept` too: no later poll can bring the list',
  )
  await publish(issuer, { size: 30_000_000, values: { 29999999: 1 } })
  const { at: large } = await polled(issuer)
  t.equal(await large(29_999_999), 'revoked', 'an honest list of thirty million is read')
})

t.test('a token whose list has no room is refused with either policy, and others are not', async (t) => {
  const issuer = await fakeIssuer(t)
  const lst = deflateSync(Buffer.alloc(4_194_304), { level: 9 }).toString('base64url')
  const paths = Array.from({ length: 30 }, (_, n) => `/status-lists/${n}`)
  for (const path of paths) await publish(issuer, { lst }, path)
  const verifier = issuer.verifier({ statusList: true })
  const verdicts = async () => {
    const answers: string[] = []
    for (const path of paths)
      answers.push(await verdict(verifier, await issuer.token(entry(issuer, 1, path))))
    return answers
  }
  t.same(new Set(await verdicts()), new Set(['accepted']), 'a list that was not polled yet is only late')
  await verifier.ready()
  const seen = await verdicts()
  const held = seen.filter((one) => one === 'accepted').length
  t.equal(held, 16, '64 MB of lists, although eight of them are polled at a time')
  t.equal(seen.filter((one) => one === 'status_unavailable').length, paths.length - held)
  await verifier.ready()
  t.same(await verdicts(), seen, 'lists that have room can always be replaced by lists of their size')
  for (const path of paths) await publish(issuer, {}, path)
  await verifier.ready()
  // The first of these polls may have found the old lists still in memory.
  await verifier.ready()
  t.same(new Set(await verdicts()), new Set(['accepted']), 'there is room again')
})

t.test('a list that never ends is not read to the end', async (t) => {
  const issuer = await fakeIssuer(t)
  issuer.routes.set(LIST, (_, response) => {
    const chunk = Buffer.alloc(65_536, 'a')
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    }
    response.on('drain', more)
    more()
  })
  const { at } = await polled(issuer, { statusList: { onStale: 'reject', uris: [issuer.origin + LIST] } })
  t.equal(await at(1), 'status_unavailable')
})

t.test(
  'a list on another origin is fetched only if the options name it, not because a token does',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const elsewhere = await fakeIssuer(t)
    const uri = elsewhere.origin + LIST
    const body = await listToken(issuer, LIST, { values: { 1: 1 }, claims: { sub: uri } })
    elsewhere.routes.set(LIST, (_, response) => response.end(body))
    const token = await issuer.token({ status: { status_list: { idx: 1, uri } } })
    for (const bad of [
      uri,
      'file:///etc/passwd',
      'not a URL',
      'http://169.254.169.254/',
      `${issuer.origin}@127.0.0.1:1/`,
    ]) {
      const verifier = issuer.verifier({ statusList: true })
      const code = await verdict(
        verifier,
        await issuer.token({ status: { status_list: { idx: 1, uri: bad } } }),
      )
      await verifier.ready()
      t.equal(code, 'accepted', bad)
    }
    t.equal(elsewhere.requests.length, 0)
    const strict = issuer.verifier({ statusList: { onStale: 'reject' } })
    t.equal(await verdict(strict, token), 'status_unavailable')

    const configured = issuer.verifier({ statusList: { uris: [uri] } })
    await configured.ready()
    t.equal(await verdict(configured, token), 'revoked')
  },
)

t.test("the issuer's list of lists is read, except for other origins and garbage", async (t) => {
  const issuer = await fakeIssuer(t)
  const elsewhere = await fakeIssuer(t)
  const listed: unknown[] = [
    null,
    5,
    'x',
    elsewhere.origin + LIST,
    `${issuer.origin}/broken`,
    issuer.origin + LIST,
  ]
  issuer.metadata.status_list_aggregation_endpoint = `${issuer.origin}/lists`
  issuer.routes.set('/lists', (_, response) => response.end(JSON.stringify({ status_lists: listed })))
  issuer.routes.set('/broken', (_, response) => response.writeHead(500).end())
  await publish(issuer, { values: { 9: 1 } })
  const verifier = issuer.verifier({ statusList: true })
  await verifier.ready()
  t.equal(
    await verdict(verifier, await issuer.token(entry(issuer, 9))),
    'revoked',
    'with its very first token',
  )
  t.equal(elsewhere.requests.length, 0)
  for (const body of ['', '{', 'null', '5', '{"status_lists":5}', '{}']) {
    issuer.routes.set('/lists', (_, response) => response.end(body))
    await t.resolves(verifier.ready(), body)
  }
})

t.test(
  'a list that a token names is fetched in the background within a second, and the token does not wait',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const verifier = issuer.verifier({ statusList: true })
    await verifier.ready()
    const body = await listToken(issuer, LIST, { values: { 2: 1 } })
    let answer = () => {}
    issuer.routes.set(LIST, (_, response) => {
      answer = () => response.end(body)
    })
    const token = await issuer.token(entry(issuer, 2))
    t.equal(await verdict(verifier, token), 'accepted')
    await until(() => issuer.count(LIST) === 1)
    t.equal(await verdict(verifier, token), 'accepted', 'while the list hangs')
    answer()
    await until(async () => (await verdict(verifier, token)) === 'revoked')
    t.pass('once it has arrived')
  },
)

t.test('a thousand tokens, new and cached, cause no request', async (t) => {
  const issuer = await fakeIssuer(t)
  await publish(issuer, { values: { 7: 1 } })
  const { verifier } = await polled(issuer)
  const before = issuer.requests.length
  const wrong: string[] = []
  for (let i = 0; i < 250; i += 1) {
    const token = await issuer.token({ ...entry(issuer, i % 8), jti: `${i}` })
    for (let again = 0; again < 4; again += 1) {
      const code = await verdict(verifier, token)
      if (code !== (i % 8 === 7 ? 'revoked' : 'accepted')) wrong.push(`${i}: ${code}`)
    }
  }
  t.same(wrong, [])
  t.equal(issuer.requests.length, before)
})

t.test(
  'the policy decides about tokens whose list is too old or has expired, and a revoked token stays revoked',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const far = { exp: issuer.time.now() + 1_000_000 }
    for (const onStale of ['accept', 'reject'] as const) {
      const otherwise = onStale === 'accept' ? 'accepted' : 'status_unavailable'
      issuer.routes.clear()
      await publish(issuer, { values: { 1: 1 }, claims: { exp: issuer.time.now() + 100_000 } })
      const { verifier } = await polled(issuer, {
        statusList: { onStale, staleAfter: 100, uris: [issuer.origin + LIST] },
      })
      const [fine, revoked] = [
        await issuer.token({ ...entry(issuer, 2), ...far }),
        await issuer.token({ ...entry(issuer, 1), ...far }),
      ]
      issuer.routes.set(LIST, (_, response) => response.writeHead(503).end())
      issuer.time.tick(100)
      await verifier.ready()
      t.equal(await verdict(verifier, fine), 'accepted', onStale)
      issuer.time.tick(1)
      t.equal(await verdict(verifier, fine), otherwise, onStale)
      t.equal(await verdict(verifier, revoked), 'revoked', onStale)

      await publish(issuer, { values: { 1: 1 }, claims: { exp: issuer.time.now() + 50 } })
      await verifier.ready()
      t.equal(await verdict(verifier, fine), 'accepted', 'fresh again')
      issuer.routes.set(LIST, (_, response) => response.writeHead(503).end())
      issuer.time.tick(79)
      t.equal(await verdict(verifier, fine), 'accepted', 'expired, but within the leeway')
      issuer.time.tick(1)
      t.equal(
        await verdict(verifier, fine),
        otherwise,
        'expired: it must not be relied upon (Token Status List §13.7)',
      )
      t.equal(await verdict(verifier, revoked), 'revoked', onStale)
    }
  },
)

/** The poller without a verifier, so that a test decides when it polls. */
async function startPoller(t: Test, options: Partial<StatusListPollerDeps> = {}) {
  const issuer = await fakeIssuer(t)
  const conditions: (string | undefined)[] = []
  let body = await listToken(issuer, LIST, {})
  let etag = '"1"'
  const headers: Record<string, string> = {}
  const publishHere = async (list: ListOptions, tag: string) => {
    body = await listToken(issuer, LIST, list)
    etag = tag
  }
  issuer.routes.set(LIST, (request, response) => {
    conditions.push(request.headers['if-none-match'])
    if (request.headers['if-none-match'] === etag) response.writeHead(304, { etag, ...headers }).end()
    else response.writeHead(200, { etag, ...headers }).end(body)
  })
  const lists = createStatusListPoller({
    issuer: issuer.issuer,
    fetch,
    timeoutMs: HANG_MS,
    ...issuer.time.clocks,
    leeway: 0,
    aggregationUri: async () => undefined,
    verifyJwt: async (jwt) => decodeJwt(jwt),
    uris: [issuer.origin + LIST],
    ...options,
  })
  /** Whether the list is fetched when the poller runs. */
  const fetchesOnPoll = async (): Promise<boolean> => {
    const before = issuer.count(LIST)
    await lists.pollDue()
    return issuer.count(LIST) > before
  }
  return { issuer, lists, fetchesOnPoll, publish: publishHere, conditions, headers }
}

t.test(
  'the signed ttl decides when to poll again and takes precedence over HTTP caching headers, also after a 304 (Token Status List §8.2, §13.7)',
  async (t) => {
    const { issuer, fetchesOnPoll, publish, conditions, headers } = await startPoller(t)
    headers['cache-control'] = 'max-age=1000'
    await publish({ claims: { ttl: 20 } }, '"20"')
    t.ok(await fetchesOnPoll())
    for (let i = 0; i < 2; i += 1) {
      issuer.time.tick(19.9)
      t.notOk(await fetchesOnPoll())
      issuer.time.tick(0.1)
      t.ok(await fetchesOnPoll())
    }
    t.same(conditions, [undefined, '"20"', '"20"'])
  },
)

t.test(
  'without a ttl, Cache-Control decides when to poll again, but never later than exp; without either it is after a minute',
  async (t) => {
    for (const [cacheControl, claims, seconds] of [
      ['max-age=15', {}, 15],
      [undefined, {}, 60],
      ['max-age=999999', {}, 150],
      ['max-age=100', { exp: 30 }, 30],
      [undefined, { ttl: 0 }, 60],
      [undefined, { ttl: -5 }, 60],
      [undefined, { ttl: '5' }, 60],
      [undefined, { ttl: 0.001 }, 1],
      [undefined, { ttl: 1e12 }, 150],
    ] as const) {
      await t.test(JSON.stringify([cacheControl, claims]), async (t) => {
        const { issuer, fetchesOnPoll, publish, headers } = await startPoller(t)
        if (cacheControl) headers['cache-control'] = cacheControl
        const exp = 'exp' in claims ? { exp: issuer.time.now() + claims.exp } : { exp: undefined }
        await publish({ claims: { ttl: undefined, ...claims, ...exp } }, '"x"')
        t.ok(await fetchesOnPoll())
        issuer.time.tick(seconds - 0.1)
        t.notOk(await fetchesOnPoll())
        issuer.time.tick(0.1)
        t.ok(await fetchesOnPoll())
      })
    }
  },
)

t.test('a list that was fetched in the background is used at once', async (t) => {
  const { issuer, lists, fetchesOnPoll, publish } = await startPoller(t)
  const claims = { ...(await createClaims(issuer)), status: entry(issuer, 4).status }
  t.ok(await fetchesOnPoll())
  t.doesNotThrow(() => lists.check(claims))
  await publish({ values: { 4: 1 } }, '"2"')
  issuer.time.tick(10)
  t.ok(await fetchesOnPoll())
  t.throws(() => lists.check(claims), { code: 'revoked' })
})

async function createClaims(issuer: FakeIssuer) {
  return (await issuer.verifier().verify(await issuer.token())) as Parameters<
    ReturnType<typeof createStatusListPoller>['check']
  >[0]
}

t.test('a failed poll is repeated after five seconds, not on each tick', async (t) => {
  const { issuer, fetchesOnPoll } = await startPoller(t)
  issuer.routes.set(LIST, (_, response) => response.writeHead(503).end())
  t.ok(await fetchesOnPoll())
  issuer.time.tick(4.9)
  t.notOk(await fetchesOnPoll())
  issuer.time.tick(0.1)
  t.ok(await fetchesOnPoll())
})

t.test('a list that hangs does not delay the others, and is not fetched twice at once', async (t) => {
  const issuer = await fakeIssuer(t)
  const uris = Array.from({ length: 10 }, (_, i) => `${issuer.origin}/status-lists/${i}`)
  const answer = Promise.withResolvers<void>()
  issuer.routes.set('/status-lists/0', (_, response) => {
    answer.promise.then(() => response.writeHead(503).end())
  })
  for (let i = 1; i < 10; i += 1) await publish(issuer, { values: { [i]: 1 } }, `/status-lists/${i}`)
  const verifier = issuer.verifier({ statusList: { uris } })
  const ready = verifier.ready()
  for (let i = 1; i < 10; i += 1) {
    const token = await issuer.token(entry(issuer, i, `/status-lists/${i}`))
    await until(async () => (await verdict(verifier, token)) === 'revoked')
    t.pass(`list ${i} is in use`)
  }
  t.equal(issuer.count('/status-lists/0'), 1)
  t.ok(await isPending(ready))
  answer.resolve()
  await ready
})

t.test('a list that hangs is waited for as long as the option says', async (t) => {
  const { issuer, lists, fetchesOnPoll } = await startPoller(t, { timeoutMs: 20 })
  issuer.routes.set(LIST, () => {})
  // The request may time out before it has left.
  await lists.pollDue()
  issuer.time.tick(4.9)
  t.notOk(await fetchesOnPoll(), 'it counts as a failed poll')
})

t.test('a list is not fetched again during a fetch', async (t) => {
  const { issuer, lists } = await startPoller(t)
  let answer = () => {}
  issuer.routes.set(LIST, (_, response) => {
    answer = () => response.writeHead(503).end()
  })
  const both = Promise.all([lists.pollDue(), lists.pollDue()])
  await until(() => issuer.count(LIST) === 1)
  const third = lists.pollDue()
  await turns()
  t.equal(issuer.count(LIST), 1)
  answer()
  await both
  await third
  t.equal(issuer.count(LIST), 1)
})

t.test('a list that was not named for a day is dropped, except for those in the options', async (t) => {
  const { issuer, lists, fetchesOnPoll } = await startPoller(t, { uris: [] })
  const claims = { ...(await createClaims(issuer)), status: entry(issuer, 4).status }
  lists.check(claims)
  t.ok(await fetchesOnPoll())
  issuer.time.tick(86_400)
  t.ok(await fetchesOnPoll())
  issuer.time.tick(60)
  t.notOk(await fetchesOnPoll())
  const { issuer: other, fetchesOnPoll: otherFetchesOnPoll } = await startPoller(t)
  t.ok(await otherFetchesOnPoll())
  other.time.tick(200_000)
  t.ok(await otherFetchesOnPoll())
})

t.test(
  'at most a thousand lists are cached, and a token that names another one is refused with either policy',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const lists = createStatusListPoller({
      issuer: issuer.issuer,
      fetch,
      timeoutMs: HANG_MS,
      ...issuer.time.clocks,
      leeway: 0,
      aggregationUri: async () => undefined,
      verifyJwt: async (jwt) => decodeJwt(jwt),
    })
    const claims = await createClaims(issuer)
    const check = (i: number) => lists.check({ ...claims, status: entry(issuer, 1, `/lists/${i}`).status })
    for (let i = 0; i < 1000; i += 1) check(i)
    check(999)
    for (let i = 1000; i < 1500; i += 1) t.throws(() => check(i), { code: 'status_unavailable' })
    const before = issuer.requests.length
    await lists.pollAll()
    t.equal(issuer.requests.length - before, 1000)
  },
)

t.test('lists are fetched from the mirror', async (t) => {
  const issuer = await fakeIssuer(t)
  const mirror = await fakeIssuer(t)
  const body = await listToken(issuer, LIST, { values: { 1: 1 } })
  mirror.routes.set(`/copy${LIST}`, (_, response) => response.end(body))
  mirror.routes.set('/copy/jwks.json', (_, response) => response.end(JSON.stringify({ keys: issuer.keys })))
  await issuer.stop()
  const verifier = issuer.verifier({
    mirror: `${mirror.origin}/copy`,
    jwksUri: `${issuer.origin}/jwks.json`,
    statusList: { uris: [issuer.origin + LIST] },
  })
  await verifier.ready()
  t.equal(await verdict(verifier, await issuer.token(entry(issuer, 1))), 'revoked')
  t.equal(await verdict(verifier, await issuer.token(entry(issuer, 2))), 'accepted')
})
