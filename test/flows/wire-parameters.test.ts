import t from 'tap'
import { writesNothing } from '../support/server/database-dump.ts'
import { type GoodRequest, goodRequests, postText, seedEndpoints } from '../support/server/endpoints.ts'
import { refused, wellFormed } from '../support/server/error-responses.ts'
import { encodeForm, type Form } from '../support/server/requests.ts'
import { STOCK } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'

const server = await testServer()
const { key } = await seedEndpoints(server)
const requests = goodRequests(server, key)
t.teardown(() => server.close())

/** Varies each parameter of each valid request once, with a fresh form. */
async function eachParameter(
  visit: (request: GoodRequest, name: string, form: Form, value: string) => Promise<void>,
) {
  for (const request of requests) {
    for (const name of Object.keys(await request.form())) {
      // A million requests from one address would be rate limited, and so would this many sign-ins.
      server.clock.tick(3600)
      const form = await request.form()
      await visit(request, name, form, String(form[name]))
    }
  }
}

const without = (form: Form, name: string): Form =>
  Object.fromEntries(Object.entries(form).filter(([other]) => other !== name))

const send = (request: GoodRequest, form: Form) => postText(server, request, encodeForm(form))

t.test('the requests on which these tests build succeed', async (t) => {
  for (const request of requests) {
    const answer = await send(request, await request.form())
    t.equal(answer.statusCode, 200, request.name)
  }
})

t.test(
  'a repeated parameter is invalid_request and writes nothing (RFC 6749 §3.2; docs/security.md A3)',
  async (t) => {
    await eachParameter(async (request, name, form, value) => {
      const label = `${request.name}: ${name} twice`
      await writesNothing(t, server, async () => {
        if (name !== 'resource') {
          refused(
            t,
            await send(request, { ...form, [name]: [value, value] }),
            { error: 'invalid_request' },
            label,
          )
          refused(
            t,
            await send(request, { ...form, [name]: ['', value] }),
            { error: 'invalid_request' },
            label,
          )
        }
        const other = name === 'resource' ? STOCK : 'other'
        const error = name === 'resource' ? 'invalid_target' : 'invalid_request'
        refused(t, await send(request, { ...form, [name]: [value, other] }), { error }, label)
        refused(t, await send(request, { ...form, [name]: [other, value] }), { error }, label)
      })
    })
  },
)

t.test(
  'a repeated unknown parameter is refused too (RFC 6749 §3.1, §3.2; docs/security.md A3)',
  async (t) => {
    for (const request of requests) {
      const form = { ...(await request.form()), extra: ['1', '2'] }
      await writesNothing(t, server, async () =>
        refused(t, await send(request, form), { error: 'invalid_request' }, request.name),
      )
    }
  },
)

t.test('the same resource sent twice counts once (RFC 8707 §2; docs/security.md A3)', async (t) => {
  const [request] = requests
  if (!request) throw new Error('no request')
  const { resource, ...form } = await request.form()
  const answer = await send(request, { ...form, resource: [String(resource), String(resource)] })
  t.equal(answer.statusCode, 200)
})

/** The error code, if there is one: a successful revocation has no body. */
const codeOf = (body: string): unknown => (body === '' ? undefined : JSON.parse(body).error)

t.test('an empty parameter is treated as absent (RFC 6749 §3.2; docs/security.md A4)', async (t) => {
  await eachParameter(async (request, name, form) => {
    const absent = await send(request, without(form, name))
    server.clock.tick(3600)
    const empty = await send(request, { ...(await request.form()), [name]: '' })
    t.same(
      [empty.statusCode, codeOf(empty.body)],
      [absent.statusCode, codeOf(absent.body)],
      `${request.name}: ${name}`,
    )
  })
})

/** What each endpoint responds when a required parameter is missing. */
const MISSING: Record<string, { status: number; error: string }> = {
  grant_type: { status: 400, error: 'invalid_request' },
  username: { status: 400, error: 'invalid_request' },
  password: { status: 400, error: 'invalid_request' },
  refresh_token: { status: 400, error: 'invalid_request' },
  token: { status: 400, error: 'invalid_request' },
  client_assertion: { status: 400, error: 'invalid_request' },
  client_assertion_type: { status: 400, error: 'invalid_request' },
}

t.test('a missing parameter is invalid_request and writes nothing (RFC 6749 §5.2)', async (t) => {
  const seen = new Set<string>()
  await eachParameter(async (request, name, form) => {
    const expected = MISSING[name]
    if (!expected) return
    seen.add(name)
    await writesNothing(t, server, async () =>
      refused(t, await send(request, without(form, name)), expected, `${request.name} without ${name}`),
    )
  })
  t.same([...seen].sort(), Object.keys(MISSING).sort())
})

t.test('an unknown parameter is ignored (RFC 6749 §3.2; docs/security.md A5)', async (t) => {
  for (const request of requests) {
    const answer = await send(request, {
      ...(await request.form()),
      extra: 'foobar',
      __proto__x: '1',
      '': '',
    })
    t.equal(answer.statusCode, 200, request.name)
  }
})

/** Nothing that a strict reader of RFC 6749 Appendix B accepts as text. */
const BROKEN: readonly (string | Buffer)[] = [
  '%zz',
  '%',
  '%1',
  'a%2',
  '%C0%80', // overlong NUL
  '%E0%80%80',
  '%C1%BF',
  '%ED%A0%80', // a lone surrogate
  '%ED%B0%80',
  '%ED%A0%80%ED%B0%80', // CESU-8
  '%F4%90%80%80', // past U+10FFFF
  '%FF',
  '%80',
  '%00',
  'a%00b',
  '%u0041',
  'caf\u00e9',
  Buffer.from([0xff]),
  Buffer.from([0xc0, 0x80]),
  Buffer.from([0x00]),
  'a\rb',
  'a\nb',
]

t.test(
  'malformed form encoding or UTF-8 is invalid_request and writes nothing (RFC 6749 App. B; docs/security.md A7)',
  async (t) => {
    await eachParameter(async (request, name, form) => {
      const rest = encodeForm(without(form, name))
      await writesNothing(t, server, async () => {
        for (const broken of BROKEN) {
          const body = Buffer.concat([Buffer.from(`${rest}&${name}=`), Buffer.from(broken)])
          const label = `${request.name}: ${name}=${encodeURIComponent(broken.toString())}`
          refused(t, await postText(server, request, body), { error: 'invalid_request' }, label)
        }
      })
    })
  },
)

t.test(
  'malformed encoding in a name or an unknown parameter is refused too (RFC 6749 App. B; docs/security.md A7)',
  async (t) => {
    for (const request of requests) {
      const rest = encodeForm(await request.form())
      await writesNothing(t, server, async () => {
        for (const broken of ['%zz', '%C0%80', '%ED%A0%80', '%00']) {
          for (const pair of [`${broken}=1`, `extra=${broken}`]) {
            const answer = await postText(server, request, `${rest}&${pair}`)
            refused(t, answer, { error: 'invalid_request' }, `${request.name}: ${pair}`)
          }
        }
      })
    }
  },
)

t.test(
  'no input produces an illegal description, adds a header or is echoed (RFC 6749 §5.2; docs/security.md A8)',
  async (t) => {
    const hostile = [
      '"',
      '\\',
      'a\r\nset-cookie: x=1',
      '\t',
      'é',
      '😀',
      '</script><script>',
      '\u007f',
      '\u2028',
    ]
    await eachParameter(async (request, name, form) => {
      for (const text of hostile) {
        const marked = `${text}m4rk`
        const answer = await send(request, { ...form, [name]: marked })
        const label = `${request.name}: ${name}=${encodeURIComponent(text)}`
        t.ok(answer.statusCode < 500, `${label}: ${answer.statusCode}`)
        t.notMatch(answer.body, /m4rk/, `${label}: nothing is echoed`)
        t.notOk(answer.headers['set-cookie'], label)
        if (answer.statusCode >= 400) wellFormed(t, answer, label)
        server.clock.tick(3600)
      }
    })
  },
)

t.test(
  'a megabyte in any parameter gets 413 and writes nothing (RFC 9110 §15.5.14, RFC 6749 §5.2; docs/security.md A14)',
  async (t) => {
    const megabyte = 'x'.repeat(1 << 20)
    await eachParameter(async (request, name, form) => {
      await writesNothing(t, server, async () => {
        const answer = await send(request, { ...form, [name]: megabyte })
        refused(t, answer, { status: 413, error: 'invalid_request' }, `${request.name}: ${name}`)
      })
    })
  },
)

t.test(
  'a value that just fits into the body gets an OAuth error, not a 500 (RFC 9110 §15.5.14, RFC 6749 §5.2; docs/security.md A14)',
  async (t) => {
    const long = 'x'.repeat(60_000)
    await eachParameter(async (request, name, form) => {
      const answer = await send(request, { ...form, [name]: long })
      const label = `${request.name}: ${name}`
      if (request.url === '/oauth2/token' || name !== 'token_type_hint') {
        t.ok(answer.statusCode < 500, `${label}: ${answer.statusCode}`)
      }
      if (answer.statusCode >= 400) wellFormed(t, answer, label)
      t.notMatch(answer.body, 'x'.repeat(20), label)
    })
  },
)

t.test(
  'thousands of parameters are refused without being parsed (RFC 9110 §15.5.14, RFC 6749 §5.2; docs/security.md A14)',
  async (t) => {
    for (const request of requests) {
      const good = encodeForm(await request.form())
      await writesNothing(t, server, async () => {
        const few = Array.from({ length: 5000 }, (_, i) => `p${i}=`).join('&')
        const answer = await postText(server, request, `${few}&${good}`)
        refused(t, answer, { error: 'invalid_request' }, request.name)
        const many = Array.from({ length: 100_000 }, (_, i) => `p${i}=1`).join('&')
        const larger = await postText(server, request, many)
        refused(t, larger, { status: 413, error: 'invalid_request' }, request.name)
      })
    }
  },
)

t.test(
  'parameters in the query are invalid_request, whatever the body contains (RFC 6749 §3.2, RFC 6749 §2.3.1; docs/security.md A1, A2)',
  async (t) => {
    for (const request of requests) {
      const form = await request.form()
      await writesNothing(t, server, async () => {
        const queries: [string, string][] = [
          [encodeForm(form), ''],
          [encodeForm(form), encodeForm(form)],
          ...Object.keys(form).map((name): [string, string] => [
            encodeForm({ [name]: form[name] ?? '' }),
            encodeForm(without(form, name)),
          ]),
          ['extra=1', encodeForm(form)],
        ]
        for (const [query, body] of queries) {
          const answer = await postText(server, { ...request, url: `${request.url}?${query}` }, body)
          refused(t, answer, { error: 'invalid_request' }, `${request.name}?${query.slice(0, 60)}`)
        }
      })
    }
  },
)

t.test(
  'client credentials in the query are refused, even if they are valid (RFC 6749 §2.3.1; docs/security.md A2)',
  async (t) => {
    const [, poster] = requests
    if (!poster) throw new Error('no request')
    const query = encodeForm(await poster.form())
    await writesNothing(t, server, async () => {
      for (const body of ['', 'grant_type=client_credentials']) {
        const answer = await postText(server, { url: `/oauth2/token?${query}`, headers: {} }, body)
        refused(t, answer, { error: 'invalid_request' }, body)
      }
    })
  },
)
