/** How keys are cached: how long, when they are refreshed, and what an unknown kid costs. */
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import type { VerifierOptions } from '../../packages/verify/index.ts'
import { type FakeIssuer, fakeIssuer, JWKS, signingKey, verdict } from '../support/issuers/fake-issuer.ts'
import { HANG_MS, turns, until } from '../support/server/waiting.ts'

/** A verifier with cached keys, and how often it has fetched them since. */
async function warm(t: Test, issuer: FakeIssuer, options: Partial<VerifierOptions> = {}) {
  let asked = 0
  const verifier = issuer.verifier({
    fetch: (url, init) => {
      if (String(url).endsWith(JWKS)) asked += 1
      return fetch(url, init)
    },
    ...options,
  })
  t.equal(await verdict(verifier, await issuer.token()), 'accepted')
  asked = 0
  return {
    verifier,
    verdict: async (...token: Parameters<FakeIssuer['token']>) =>
      verdict(verifier, await issuer.token(...token)),
    /** Waits until the background has done this, or has had the chance to. */
    async asked(expected: number) {
      await until(() => asked >= expected)
      await turns()
      return asked
    },
  }
}

/** Delays responses with the JWKS until they are released. Each has the keys of the time of its request. */
function delayedResponses(issuer: FakeIssuer) {
  const waiting: (() => void)[] = []
  issuer.routes.set(JWKS, (_, response) => {
    const body = JSON.stringify({ keys: issuer.keys })
    waiting.push(() => response.writeHead(200, issuer.jwksHeaders).end(body))
  })
  return {
    count: () => waiting.length,
    release() {
      for (const go of waiting.splice(0)) go()
    },
  }
}

/** Timers that run when the test says so. Requests have timers of their own. */
async function withTimers(
  apis: ('setInterval' | 'setTimeout')[],
  work: (tick: (milliseconds: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  mock.timers.enable({ apis })
  try {
    await work((milliseconds) => {
      mock.timers.tick(milliseconds)
      return turns()
    })
  } finally {
    mock.timers.reset()
  }
}

t.test(
  'keys are cached as long as Cache-Control says, and refreshed in the background after half of that time',
  async (t) => {
    const cases: [headers: Record<string, string>, seconds: number][] = [
      [{ 'cache-control': 'public, max-age=100' }, 100],
      [{ 'cache-control': 'max-age="100"' }, 100],
      [{ 'cache-control': 'public, max-age=100', age: '40' }, 60],
      [{ 'cache-control': 'max-age=100', age: 'x' }, 100],
      [{ 'cache-control': 'max-age=100', age: '1000' }, 10],
      [{ 'cache-control': 'max-age=0' }, 10],
      [{ 'cache-control': 'no-cache, max-age=1000' }, 10],
      [{ 'cache-control': 'No-Store' }, 10],
      [{ 'cache-control': 'max-age=99999999999' }, 86_400],
      [{ 'cache-control': 'public' }, 300],
      [{}, 300],
    ]
    for (const [headers, seconds] of cases) {
      await t.test(`${JSON.stringify(headers)}: ${seconds} s`, async (t) => {
        const issuer = await fakeIssuer(t)
        Object.assign(issuer.jwksHeaders, headers)
        const source = await warm(t, issuer)
        const answers = delayedResponses(issuer)

        issuer.time.tick(seconds / 2 - 0.1)
        t.equal(await source.verdict(), 'accepted')
        t.equal(await source.asked(0), 0)

        issuer.time.tick(0.1)
        t.equal(await source.verdict(), 'accepted', 'without waiting for the fetch in progress')
        t.equal(await source.verdict({ jti: 'another' }), 'accepted')
        t.equal(await source.asked(1), 1)

        issuer.time.tick(seconds / 2)
        let passed = false
        const late = source.verdict().then((code) => {
          passed = true
          return code
        })
        await until(() => answers.count() === 1)
        await turns()
        t.notOk(passed, 'expired keys are not used without a fetch')
        answers.release()
        t.equal(await late, 'accepted')
        t.equal(await source.asked(1), 1, 'one fetch for all')
      })
    }
  },
)

t.test('an idle verifier refreshes its keys until it is closed', async (t) => {
  const issuer = await fakeIssuer(t)
  await withTimers(['setInterval'], async (tick) => {
    const verifier = issuer.verifier()
    await verifier.ready()
    issuer.time.tick(200)
    await tick(1000)
    await until(() => issuer.count() === 2)
    verifier.close()
    issuer.time.tick(200)
    await tick(5000)
    t.equal(issuer.count(), 2)
  })
})

t.test('keys are fetched with their ETag, and a 304 extends their time in the cache', async (t) => {
  const issuer = await fakeIssuer(t)
  const conditions: (string | undefined)[] = []
  issuer.routes.set(JWKS, (request, response) => {
    const condition = request.headers['if-none-match']
    conditions.push(condition)
    const headers = { etag: 'W/"v1"', ...(condition ? {} : { 'cache-control': 'max-age=100' }) }
    if (condition === 'W/"v1"') response.writeHead(304, headers).end()
    else response.writeHead(200, headers).end(JSON.stringify({ keys: issuer.keys }))
  })
  const source = await warm(t, issuer)
  for (let i = 0; i < 3; i += 1) {
    issuer.time.tick(100)
    t.equal(await source.verdict(), 'accepted')
    t.equal(await source.asked(i + 1), i + 1)
    issuer.time.tick(49)
    t.equal(await source.verdict(), 'accepted')
    t.equal(
      await source.asked(i + 1),
      i + 1,
      'a 304 without Cache-Control leaves the lifetime as it was (RFC 9111 §4.3.4)',
    )
  }
  t.same(conditions, [undefined, 'W/"v1"', 'W/"v1"', 'W/"v1"'])
})

t.test('a 304 to an unconditional request is an error', async (t) => {
  const issuer = await fakeIssuer(t)
  issuer.routes.set(JWKS, (_, response) => response.writeHead(304).end())
  t.equal(await verdict(issuer.verifier(), await issuer.token()), 'keys_unavailable')
})

t.test('a hundred first requests share one fetch', async (t) => {
  const issuer = await fakeIssuer(t)
  const verifier = issuer.verifier()
  const tokens = await Promise.all(Array.from({ length: 100 }, (_, i) => issuer.token({ jti: `${i}` })))
  const verdicts = await Promise.all(tokens.map((token) => verdict(verifier, token)))
  t.same(new Set(verdicts), new Set(['accepted']))
  t.equal(issuer.requests.length, 2, 'metadata and keys')
})

t.test(
  'a new key is found with its first token; an unknown kid causes one fetch, and another after ten seconds',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const source = await warm(t, issuer)
    const second = await signingKey('second')
    const third = await signingKey('third')

    issuer.time.tick(1)
    t.equal(await source.verdict({}, { kid: 'made-up' }), 'unknown_key')
    t.equal(await source.asked(1), 1)
    for (let i = 0; i < 4; i += 1) {
      issuer.time.tick(2)
      t.equal(await source.verdict({}, { kid: 'made-up' }), 'unknown_key')
    }
    t.equal(await source.asked(1), 1, 'a missing kid is remembered')

    issuer.keys = [issuer.key.jwk, second.jwk]
    t.equal(await source.verdict({}, {}, second), 'accepted', 'each kid has a budget of its own')
    t.equal(await source.asked(2), 2)

    issuer.time.tick(1)
    t.equal(await source.verdict({}, {}, third), 'unknown_key')
    t.equal(await source.asked(3), 3)
    issuer.keys = [issuer.key.jwk, second.jwk, third.jwk]
    issuer.time.tick(9.9)
    t.equal(await source.verdict({}, {}, third), 'unknown_key')
    issuer.time.tick(0.2)
    t.equal(await source.verdict({}, {}, third), 'accepted')
    t.equal(await source.asked(4), 4)
  },
)

t.test('a first token with an unknown kid causes one fetch, not two', async (t) => {
  const issuer = await fakeIssuer(t)
  t.equal(await verdict(issuer.verifier(), await issuer.token({}, { kid: 'made-up' })), 'unknown_key')
  t.equal(issuer.count(), 1)
})

t.test('after a change of the keys, every missing kid is looked up again', async (t) => {
  const issuer = await fakeIssuer(t)
  const source = await warm(t, issuer)
  const [second, third] = [await signingKey('second'), await signingKey('third')]
  issuer.time.tick(1)
  t.equal(await source.verdict({}, {}, third), 'unknown_key')
  issuer.time.tick(1)
  issuer.keys = [issuer.key.jwk, second.jwk]
  t.equal(await source.verdict({}, {}, second), 'accepted')
  issuer.time.tick(1)
  issuer.keys = [issuer.key.jwk, second.jwk, third.jwk]
  t.equal(await source.verdict({}, {}, third), 'accepted')
})

t.test('a key that was published during a fetch is found by the next fetch', async (t) => {
  const issuer = await fakeIssuer(t)
  const source = await warm(t, issuer)
  const second = await signingKey('second')
  const answers = delayedResponses(issuer)
  issuer.time.tick(150)
  t.equal(await source.verdict(), 'accepted')
  await until(() => answers.count() === 1)

  issuer.keys = [issuer.key.jwk, second.jwk]
  const early = source.verdict({}, {}, second)
  issuer.time.tick(1)
  await turns()
  answers.release()
  await until(() => answers.count() === 1)
  answers.release()
  t.equal(await early, 'accepted')
})

t.test(
  '10,000 made-up kids in a second cause one fetch per cool-down, while valid tokens and a real new key pass',
  async (t) => {
    const issuer = await fakeIssuer(t)
    const fetched: number[] = []
    const verifier = issuer.verifier({
      // Ten thousand verifications may take longer than a fetch usually may.
      timeoutMs: HANG_MS,
      fetch: (url, init) => {
        if (String(url).endsWith(JWKS)) fetched.push(issuer.time.clocks.monotonic())
        return fetch(url, init)
      },
    })
    const second = await signingKey('second')
    const good = await issuer.token()
    t.equal(await verdict(verifier, good), 'accepted')
    const [, payload, signature] = good.split('.')
    const flood: Promise<string>[] = []
    let next: Promise<string> | undefined
    let publishedAt = 0
    let foundAt = 0

    await withTimers(['setTimeout'], async (tick) => {
      const pass = async (milliseconds: number) => {
        issuer.time.tick(milliseconds / 1000)
        await tick(milliseconds)
      }
      for (let i = 0; i < 10_000; i += 1) {
        const header = Buffer.from(JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid: `made-up-${i}` }))
        flood.push(verdict(verifier, `${header.toString('base64url')}.${payload}.${signature}`))
        if (i % 500 === 0) {
          t.equal(
            await verdict(verifier, await issuer.token({ jti: `${i}` })),
            'accepted',
            'during the fetch',
          )
          await pass(50)
        }
        if (i === 5000) {
          issuer.keys = [issuer.key.jwk, second.jwk]
          publishedAt = fetched.length
          next = verdict(verifier, await issuer.token({}, {}, second)).finally(() => {
            foundAt = fetched.length
          })
        }
      }
      let ended = false
      const all = Promise.all([next, ...flood]).finally(() => {
        ended = true
      })
      while (!ended) await pass(50)
      await all
    })
    t.equal(await next, 'accepted', 'the real new key')
    t.ok(foundAt <= publishedAt + 2, 'found by the fetch in progress or the next one')
    t.same(new Set(await Promise.all(flood)), new Set(['unknown_key']))
    for (const [i, at] of fetched.entries()) {
      if (i > 0) t.ok(at - (fetched[i - 1] ?? 0) > 799, 'a cool-down between two fetches')
    }
    t.ok(fetched.length >= 3, 'the first, and those for unknown kids')
  },
)

t.test('a key that was removed from the JWKS stops working, for cached tokens too', async (t) => {
  const issuer = await fakeIssuer(t)
  const source = await warm(t, issuer)
  const second = await signingKey('second')
  const token = await issuer.token({ exp: issuer.time.now() + 9999 })
  t.equal(await verdict(source.verifier, token), 'accepted')

  issuer.keys = [second.jwk]
  issuer.time.tick(300)
  t.equal(await verdict(source.verifier, token), 'unknown_key')
  t.equal(await source.verdict({}, {}, second), 'accepted')
  issuer.keys = [issuer.key.jwk]
  issuer.time.tick(300)
  t.equal(await verdict(source.verifier, token), 'accepted', 'and works again when it is published again')
})

t.test('a new key with the same kid replaces the old one, for cached tokens too', async (t) => {
  const issuer = await fakeIssuer(t)
  const source = await warm(t, issuer)
  const token = await issuer.token()
  t.equal(await verdict(source.verifier, token), 'accepted')
  issuer.keys = [(await signingKey('key-1')).jwk]
  issuer.time.tick(300)
  t.equal(await verdict(source.verifier, token), 'bad_signature')
})

t.test('tokens of an issuer that no longer has keys are refused', async (t) => {
  const issuer = await fakeIssuer(t)
  const source = await warm(t, issuer)
  issuer.keys = []
  issuer.time.tick(300)
  t.equal(await source.verdict(), 'unknown_key')
})

t.test('the name is sent with each fetch of the keys and with no other request', async (t) => {
  const issuer = await fakeIssuer(t)
  const sent: unknown[] = []
  const listening =
    (verifierFetch: typeof fetch): typeof fetch =>
    (url, init) => {
      sent.push([new URL(String(url)).pathname, new Headers(init?.headers).get('keyturn-verifier')])
      return verifierFetch(url, init)
    }
  await issuer.verifier({ fetch: listening(fetch) }).ready()
  for (const [, name] of sent.splice(0) as [string, string | null][]) t.equal(name, null)

  const named = issuer.verifier({ name: 'orders', fetch: listening(fetch) })
  await named.ready()
  await named.ready()
  const [metadata, first, again] = sent as [string, string][]
  t.same(metadata?.[1], null)
  t.match(first?.[1], /^orders; instance=[\w-]{12}$/)
  t.equal(again?.[1], first?.[1], 'one process has one instance')
  await issuer.verifier({ name: 'orders', fetch: listening(fetch) }).ready()
  t.not((sent.at(-1) as [string, string])[1], first?.[1], 'another process has another instance')
})
