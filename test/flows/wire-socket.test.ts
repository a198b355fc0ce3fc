import t, { type Test } from 'tap'
import { writesNothing } from '../support/server/database-dump.ts'
import { listen } from '../support/server/listen.ts'
import { exchange, type RawAnswer } from '../support/server/raw-socket.ts'
import { basic } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'

const { server, port } = await listen(t)
await seed(server.store)

const BODY = 'grant_type=client_credentials'
const HOST = 'host: issuer.test'
const TYPE = 'content-type: application/x-www-form-urlencoded'
const AUTH = `authorization: ${basic('machine')}`
const CLOSE = 'connection: close'
const LENGTH = `content-length: ${BODY.length}`

const head = (lines: readonly string[], first = 'POST /oauth2/token HTTP/1.1') =>
  `${[first, ...lines].join('\r\n')}\r\n\r\n`

const send = (lines: readonly string[], body: string = BODY, first?: string) =>
  exchange(port, [head(lines, first) + body])

const GOOD = [HOST, TYPE, AUTH, CLOSE, LENGTH]

function issues(t: Test, answer: RawAnswer, label: string) {
  t.equal(answer.status, 200, `${label}: ${answer.text.slice(0, 200)}`)
  t.match(JSON.parse(answer.body), { token_type: 'Bearer' }, label)
}

function isRefused(t: Test, answer: RawAnswer, status: number, label: string) {
  t.equal(answer.status, status, `${label}: ${answer.text.slice(0, 200)}`)
  t.match(answer.headers['content-type'], /^application\/json/, label)
  t.equal(answer.headers['cache-control'], 'no-store', label)
  t.match(JSON.parse(answer.body), { error: 'invalid_request', error_description: /^[\x20-\x7E]+$/ }, label)
}

/** The body in chunks of the given size (RFC 9112 §7.1). */
const chunked = (body: string, size = 1) =>
  `${(body.match(new RegExp(`.{1,${size}}`, 'gs')) ?? []).map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('')}0\r\n\r\n`

const CHUNKED = 'transfer-encoding: chunked'

t.test('every legal form of HTTP request gets its token (RFC 9112)', async (t) => {
  issues(t, await send(GOOD), 'plain')
  issues(t, await send([TYPE, AUTH, LENGTH], BODY, 'POST /oauth2/token HTTP/1.0'), 'HTTP/1.0 without Host')
  issues(t, await send([HOST, TYPE, AUTH, CLOSE, CHUNKED], chunked(BODY)), 'chunks of one byte')
  issues(t, await exchange(port, [...head(GOOD), ...BODY]), 'byte by byte')
  issues(
    t,
    await send([HOST, `content-type: \t  application/x-www-form-urlencoded \t`, AUTH, CLOSE, LENGTH]),
    'white space around a field value is ignored (RFC 9110 §5.5)',
  )
  const absolute = 'POST http://elsewhere.test/oauth2/token HTTP/1.1'
  issues(t, await send(GOOD, BODY, absolute), 'absolute form (RFC 9112 §3.2.2)')
})

t.test('a client that sends Expect: 100-continue gets 100 Continue (RFC 9110 §10.1.1)', async (t) => {
  const answer = await exchange(port, [head([...GOOD, 'expect: 100-continue']), BODY])
  t.match(answer.text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
  issues(t, answer, 'after 100')
  const other = await send([...GOOD, 'expect: tea'])
  t.equal(other.status, 417)
})

t.test('two pipelined requests get two responses', async (t) => {
  const first = head([HOST, TYPE, AUTH, LENGTH]) + BODY
  const { text } = await exchange(port, [first + head(GOOD) + BODY])
  t.equal(text.match(/HTTP\/1\.1 200 OK/g)?.length, 2)
})

t.test(
  'a request with ambiguous framing gets 400 and writes nothing (RFC 9112 §6; docs/security.md Q13)',
  async (t) => {
    const twice = chunked(BODY, 99)
    const smuggled: Record<string, [string[], string]> = {
      'TE and CL': [[...GOOD, CHUNKED], twice],
      'CL and TE': [[HOST, TYPE, AUTH, CLOSE, CHUNKED, LENGTH], twice],
      'two lengths': [[...GOOD, 'content-length: 5'], BODY],
      'a list of lengths': [
        [HOST, TYPE, AUTH, CLOSE, `content-length: ${BODY.length}, ${BODY.length}`],
        BODY,
      ],
      'a negative length': [[HOST, TYPE, AUTH, CLOSE, 'content-length: -1'], BODY],
      'a length with a sign': [[HOST, TYPE, AUTH, CLOSE, `content-length: +${BODY.length}`], BODY],
      'a length in hex': [[HOST, TYPE, AUTH, CLOSE, 'content-length: 0x1d'], BODY],
      'chunked twice': [[HOST, TYPE, AUTH, CLOSE, CHUNKED, CHUNKED], twice],
      'an unknown coding': [[HOST, TYPE, AUTH, CLOSE, 'transfer-encoding: chunked, identity'], twice],
      'a broken chunk size': [[HOST, TYPE, AUTH, CLOSE, CHUNKED], `zz\r\n${BODY}\r\n0\r\n\r\n`],
      'white space before the colon': [[HOST, TYPE, AUTH, CLOSE, `content-length : ${BODY.length}`], BODY],
      'a folded line': [[HOST, TYPE, AUTH, CLOSE, LENGTH, ' x: y'], BODY],
      'a control character in a value': [[...GOOD, 'x-a: b\u0000c'], BODY],
      'no name': [[...GOOD, ': x'], BODY],
      'no Host': [[TYPE, AUTH, CLOSE, LENGTH], BODY],
    }
    await writesNothing(t, server, async () => {
      for (const [label, [lines, body]] of Object.entries(smuggled)) {
        const answer = await send(lines, body)
        t.equal(answer.status, 400, `${label}: ${answer.text.slice(0, 100)}`)
        t.notMatch(answer.text, /access_token/, label)
      }
    })
  },
)

t.test('bytes that are not HTTP get 400 as JSON', async (t) => {
  for (const text of [
    'nonsense\r\n\r\n',
    '\u0016\u0003\u0001\u0002\u0000\u0001',
    'POST /oauth2/token\r\n\r\n',
  ]) {
    isRefused(t, await exchange(port, [text]), 400, encodeURIComponent(text))
  }
})

t.test(
  'headers over 16 KB get 431 (RFC 9110 §15.5.14, RFC 9112 §6; docs/security.md A14, Q13)',
  async (t) => {
    isRefused(t, await send([...GOOD, `x-long: ${'x'.repeat(17_000)}`]), 431, 'one long field')
    const many = Array.from({ length: 3000 }, (_, i) => `x-${i}: 1`)
    isRefused(t, await send([...GOOD, ...many]), 431, 'many fields')
    isRefused(t, await send([HOST], '', `GET /${'x'.repeat(17_000)} HTTP/1.1`), 431, 'a long target')
  },
)

t.test(
  'a second Host header is refused or does not change the response (RFC 8414 §3.3; docs/security.md K118)',
  async (t) => {
    const answer = await send([...GOOD, 'host: evil.test'])
    if (answer.status !== 400) issues(t, answer, 'two Hosts')
    t.notMatch(answer.text, /evil/)
  },
)

t.test(
  'two Authorization headers are refused, identical or not (RFC 6749 §2.3, §5.2; docs/security.md B17)',
  async (t) => {
    const wrong = `authorization: ${basic('machine', 'wrong')}`
    await writesNothing(t, server, async () => {
      isRefused(t, await send([...GOOD, AUTH]), 400, 'the same')
      isRefused(t, await send([...GOOD, wrong]), 400, 'right, then wrong')
      isRefused(t, await send([HOST, TYPE, wrong, AUTH, CLOSE, LENGTH]), 400, 'wrong, then right')
      isRefused(t, await send([...GOOD, 'AUTHORIZATION: Bearer x']), 400, 'another scheme')
    })
  },
)

t.test(
  'a client that sends too much gets 413, and the connection is closed (RFC 9110 §15.5.14, RFC 6749 §5.2; docs/security.md A14)',
  async (t) => {
    const big = 'x'.repeat(2 << 20)
    isRefused(t, await send([HOST, TYPE, AUTH, `content-length: ${big.length}`], big), 413, 'announced')
    isRefused(t, await send([HOST, TYPE, AUTH, CHUNKED], chunked(big, 8192)), 413, 'in chunks')
  },
)

t.test('a client that disconnects mid-request affects no one else (docs/security.md Q16)', async (t) => {
  const whole = head(GOOD) + BODY
  await writesNothing(t, server, async () => {
    for (const length of [1, 30, head(GOOD).length, head(GOOD).length + 5]) {
      await exchange(port, [whole.slice(0, length)], { silence: 20 })
    }
  })
  issues(t, await send(GOOD), 'the next connection')
  t.same(
    server.logger.lines.filter(({ level }) => level === 'error' || level === 'fatal'),
    [],
    'no error in the log',
  )
})
