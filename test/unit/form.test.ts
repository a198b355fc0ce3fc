import fc from 'fast-check'
import t from 'tap'
import { MAX_PAGE_FIELDS, parseForm as parse, readPairs } from '../../src/http/form.ts'

const parseForm = (text: string) => parse(text).parameters

/** A body, a parameter, its value. */
const READ: readonly (readonly [string, string, string | undefined])[] = [
  ['a=1', 'a', '1'],
  ['a=1&b=2', 'b', '2'],
  ['&&a=1&&', 'a', '1'],
  ['a=', 'a', undefined],
  ['a', 'a', undefined],
  ['', 'a', undefined],
  ['b=1', 'a', undefined],
  ['a=b=c', 'a', 'b=c'],
  ['a=1+2', 'a', '1 2'],
  ['a=1 2', 'a', '1 2'],
  ['a= 1%2C 2 ', 'a', ' 1, 2 '],
  ['a b=1', 'a b', '1'],
  ['a=1%2B2', 'a', '1+2'],
  ['a=%26%3D%25', 'a', '&=%'],
  ['a=%c3%a9', 'a', 'é'],
  ['a=%C3%A9', 'a', 'é'],
  ['a=%F0%9F%99%82', 'a', '🙂'],
  ['%61=1', 'a', '1'],
  ['a+b=1', 'a b', '1'],
  ["a=-._~*!'():;,/@$", 'a', "-._~*!'():;,/@$"],
  ['a=%0d%0a', 'a', '\r\n'],
  ['a=%2500', 'a', '%00'],
  ['a=%EF%BB%BFx', 'a', '\ufeffx'],
  ['__proto__=1', '__proto__', '1'],
  ['constructor=1', 'toString', undefined],
]

t.test('a form is decoded according to RFC 6749 Appendix B', async (t) => {
  for (const [body, name, value] of READ) t.equal(parseForm(body).get(name), value, body)
})

const REFUSED = [
  'a=%',
  'a=%1',
  'a=%zz',
  'a=%u0041',
  'a=%80',
  'a=%C0%80',
  'a=%C1%BF',
  'a=%E0%80%80',
  'a=%F0%80%80%80',
  'a=%ED%A0%80',
  'a=%ED%A0%BD%ED%B9%82',
  'a=%F4%90%80%80',
  'a=%FF',
  'a=%C3',
  'a=%00',
  'a=x%00y',
  '%00=1',
  '%zz=1',
  'a=é',
  'a=\u007f',
  'a=\n',
  'a=\ufffd',
  'a=1\r\nb=2',
]

t.test(
  'a form that is not strict form-urlencoded UTF-8 is invalid_request (RFC 6749 App. B; docs/security.md A7)',
  async (t) => {
    for (const body of REFUSED) {
      t.throws(() => parseForm(body), { code: 'invalid_request', status: 400 }, JSON.stringify(body))
    }
  },
)

t.test('the description of raw bytes in a form says which ones are wrong', async (t) => {
  for (const [body, message] of Object.entries({
    'a=1\n': /^a line break, even at the end of the body, must be percent-encoded$/,
    'a=1\r\nb=2': /^a line break/,
    'a=1\t2': /^a control character must/,
    'a=\u007f': /^a control character must/,
    'a=é': /^a character outside ASCII must/,
    'é=1': /^a character outside ASCII must/,
    'a=\u00a0': /^a character outside ASCII must/,
  })) {
    t.throws(() => parseForm(body), { code: 'invalid_request', message }, JSON.stringify(body))
  }
})

t.test(
  'a repeated parameter is invalid_request in every encoding of its name (RFC 6749 §3.2; docs/security.md A3)',
  async (t) => {
    for (const body of ['a=1&a=2', 'a=1&a=1', 'a=1&a=', 'a&a', 'a=1&%61=2', 'a=1&b=2&a=3', '=1&=2']) {
      t.throws(() => parseForm(body), { code: 'invalid_request', message: 'a parameter is repeated' }, body)
    }
    t.equal(parseForm('a=1&A=2').get('A'), '2', 'names are compared exactly')
  },
)

t.test(
  'resource may be repeated, and empty values are ignored (RFC 8707 §2; docs/security.md A3, A4)',
  async (t) => {
    const form = parseForm('resource=x&resource=&resource=y&resource=x')
    t.same(form.all('resource'), ['x', 'y', 'x'])
    t.equal(form.get('resource'), 'x')
    t.same(parseForm('a=1').all('resource'), [])
    t.same(parseForm('a=1').all('a'), ['1'])
  },
)

t.test(
  '64 parameters are accepted and one more is refused (RFC 9110 §15.5.14, RFC 6749 §5.2; docs/security.md A14)',
  async (t) => {
    const body = (count: number) => Array.from({ length: count }, (_, i) => `p${i}=1`).join('&')
    t.equal(parseForm(body(64)).get('p63'), '1')
    t.throws(() => parseForm(body(65)), { code: 'invalid_request', message: 'too many parameters' })
    t.equal(readPairs(body(128), MAX_PAGE_FIELDS).length, 128, 'a form of a page has more fields')
    t.throws(() => readPairs(body(129), MAX_PAGE_FIELDS), { message: 'too many parameters' })
  },
)

t.test('any correctly encoded text is decoded unchanged', async (t) => {
  const text = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((one) => !one.includes('\0'))
  fc.assert(
    fc.property(text.filter(Boolean), text.filter(Boolean), (name, value) => {
      const encoders = [
        new URLSearchParams([[name, value]]).toString(),
        `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
      ]
      return encoders.every((body) => parseForm(body).get(name) === value)
    }),
  )
  t.pass()
})

t.test('every body yields either a form or invalid_request', async (t) => {
  const bodies = fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('latin1'))
  fc.assert(
    fc.property(bodies, (body) => {
      try {
        parseForm(body)
        return true
      } catch (error) {
        return (error as { code?: string }).code === 'invalid_request'
      }
    }),
  )
  t.pass()
})
