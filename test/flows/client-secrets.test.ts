import t, { type Test } from 'tap'
import { unlimited } from '../../src/accounts/concurrency-limiter.ts'
import { hashGeneratedSecret, hashSuppliedSecret } from '../../src/oauth/client-auth/secret.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { refused } from '../support/server/error-responses.ts'
import { basic, encodeForm, post, tokenRequest } from '../support/server/requests.ts'
import { client, SECRET, seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'

const server = await testServer()
await seed(server.store)
t.teardown(() => server.close())

const rawBasic = (text: string | Uint8Array) => `Basic ${Buffer.from(text).toString('base64')}`

async function basicAnswers(t: Test, status: number, headers: Record<string, string>) {
  for (const [label, authorization] of Object.entries(headers)) {
    const answer = await post(server, '/oauth2/revoke', { token: 'x' }, { authorization })
    if (status === 200) t.equal(answer.statusCode, 200, label)
    else refused(t, answer, { status, error: 'invalid_client' }, label)
  }
}

t.test(
  'Basic credentials are form-urldecoded (Appendix B, RFC 6749 §2.3.1; docs/security.md B16)',
  async (t) => {
    const id = 'a:b+c%é'
    const secret = 'p w+%:é€😀"\\'
    await server.store.clients.insert(client({ id, secretHash: hashGeneratedSecret(secret) }))
    await basicAnswers(t, 200, {
      'as URLSearchParams encodes': rawBasic(
        `${encodeForm({ '': id }).slice(1)}:${encodeForm({ '': secret }).slice(1)}`,
      ),
      'as encodeURIComponent encodes': rawBasic(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`),
      'a space as +': basic(id, secret),
      'lower-case hex': rawBasic(
        `${encodeURIComponent(id).toLowerCase()}:${encodeURIComponent(secret).toLowerCase()}`,
      ),
      'all octets encoded': rawBasic(
        [id, secret]
          .map((text) =>
            [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
          )
          .join(':'),
      ),
    })
    await basicAnswers(t, 401, {
      'a raw + is a space': rawBasic(`a%3Ab+c%25%C3%A9:${encodeURIComponent(secret)}`),
      'not encoded at all': rawBasic(`${id}:${secret}`),
      'an id that is not encoded': rawBasic(`${id}:${encodeURIComponent(secret)}`),
      'encoded twice': rawBasic(
        `${encodeURIComponent(encodeURIComponent(id))}:${encodeURIComponent(encodeURIComponent(secret))}`,
      ),
      'latin-1 percent-encoded': rawBasic(`a%3Ab%2Bc%25%E9:${encodeURIComponent(secret)}`),
      'raw latin-1': rawBasic(Buffer.from(`a%3Ab%2Bc%25é:${encodeURIComponent(secret)}`, 'latin1')),
    })
  },
)

t.test(
  'a user-supplied secret works in the header, encoded or not, and in the body (RFC 6749 §2.3.1, App. B; docs/security.md B16)',
  async (t) => {
    const secrets = [
      'p w+%:é€😀"\\',
      '100% of 2+2 is 4',
      '100%25 sure %41%2B%zz',
      '%%%%%2525%2525',
      'caf%E9 and an é',
      'no special characters',
      SECRET,
    ]
    for (const [i, secret] of secrets.entries()) {
      const id = `chosen-${i}`
      await server.store.clients.insert(
        client({ id, secretHash: await hashSuppliedSecret(secret, unlimited) }),
      )
      await basicAnswers(t, 200, {
        [`encoded: ${secret}`]: basic(id, secret),
        [`with encodeURIComponent: ${secret}`]: rawBasic(`${id}:${encodeURIComponent(secret)}`),
        [`not encoded: ${secret}`]: rawBasic(`${id}:${secret}`),
      })
      const form = { token: 'x', client_id: id, client_secret: secret }
      t.equal((await post(server, '/oauth2/revoke', form)).statusCode, 200, `in the body: ${secret}`)
      await basicAnswers(t, 401, {
        [`another than ${secret}`]: basic(id, `${secret}x`),
        [`a part of ${secret}`]: basic(id, secret.slice(1)),
      })
    }
    await server.store.clients.insert(
      client({ id: 'latin', secretHash: await hashSuppliedSecret('Ein größeres Geheimnis', unlimited) }),
    )
    await basicAnswers(t, 200, {
      'raw ISO-8859-1': rawBasic(Buffer.from('latin:Ein größeres Geheimnis', 'latin1')),
    })
  },
)

t.test(
  'secrets without special characters work both encoded and unencoded (RFC 6749 §2.3.1, App. B; docs/security.md B16)',
  async (t) => {
    await basicAnswers(t, 200, {
      plain: rawBasic(`machine:${SECRET}`),
      'scheme in other letters': rawBasic(`machine:${SECRET}`).replace('Basic', 'bAsIc'),
      'two spaces': rawBasic(`machine:${SECRET}`).replace('Basic ', 'Basic  '),
    })
  },
)

t.test(
  'any malformed Basic header gets 401 invalid_client and never 500 (RFC 6749 App. B, RFC 6749 §2.3.1; docs/security.md A7, B16)',
  async (t) => {
    const good = rawBasic(`machine:${SECRET}`)
    const secretHash = hashGeneratedSecret('s')
    await server.store.clients.insert(client({ id: 'loose', secretHash }))
    await server.store.clients.insert(client({ id: 'bell\u0007', secretHash }))
    await basicAnswers(t, 200, { 'the good spelling': rawBasic('loose:s') })
    await writesNothing(
      t,
      server,
      () =>
        basicAnswers(t, 401, {
          'nothing but the scheme': 'Basic',
          'an empty header': ' ',
          'no scheme': good.slice(6),
          'a tab instead of a space': good.replace(' ', '\t'),
          'not base64': 'Basic !!!!',
          base64url: `Basic ${Buffer.from('machine:ÿ?>').toString('base64url')}`,
          'a list': `${good}, ${good}`,
          'a parameter': `${good}; x=1`,
          // Correct except for the encoding: two decoders could read them differently.
          'padding missing': rawBasic('loose:s').replace('==', ''),
          'half of the padding': rawBasic('loose:s').replace('==', '='),
          'spare bits set': rawBasic('loose:s').replace(/.==$/, 'x=='),
          'a name with a control character': rawBasic('bell%07:s'),
          'no colon': rawBasic('machine'),
          'no name': rawBasic(`:${SECRET}`),
          'a colon alone': rawBasic(':'),
          nothing: rawBasic(''),
          'malformed percent': rawBasic('machine:%zz'),
          'half a percent': rawBasic('machine:%4'),
          overlong: rawBasic('machine:%C0%80'),
          'a lone surrogate': rawBasic('machine:%ED%A0%80'),
          'a lone surrogate in the name': rawBasic('%ED%A0%80:x'),
          NUL: rawBasic(`machine%00:${SECRET}`),
          'raw NUL': rawBasic(`machine\0:${SECRET}`),
          'a line break in the name': rawBasic('ma%0D%0Achine:x'),
          'raw octets': rawBasic(Buffer.from([0xff, 0xfe, 0x3a, 0x80])),
          Bearer: 'Bearer abc',
          Digest: 'Digest username="machine"',
          Negotiate: 'Negotiate YII=',
          'a long one': rawBasic(`machine:${'x'.repeat(10_000)}`),
          'a long name': rawBasic(`${'x'.repeat(10_000)}:x`),
        }),
      ['rate_limits'],
    )
  },
)

t.test(
  '2,000 wrong secrets from several addresses do not lock the client out (RFC 6749 §2.3.1; docs/security.md B19)',
  async (t) => {
    await writesNothing(
      t,
      server,
      async () => {
        for (let i = 0; i < 2000; i += 1) {
          const answer = await server.inject({
            method: 'POST',
            url: '/oauth2/token',
            remoteAddress: i % 2 === 0 ? '192.0.2.1' : `198.51.100.${i % 10}`,
            headers: {
              authorization: basic('machine', `wrong ${i}`),
              'content-type': 'application/x-www-form-urlencoded',
            },
            payload: 'grant_type=client_credentials',
          })
          if (![401, 429].includes(answer.statusCode))
            t.fail(`guess ${i} was answered with ${answer.statusCode}`)
        }
      },
      ['rate_limits'],
    )
    t.equal((await tokenRequest(server, { grant_type: 'client_credentials' })).statusCode, 200)
  },
)
