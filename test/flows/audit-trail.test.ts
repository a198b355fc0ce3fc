import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import type { AuditFields } from '../../src/audit/events.ts'
import { FORM, goodRequests, postText, seedEndpoints } from '../support/server/endpoints.ts'
import { asserting, assertion, clientKey } from '../support/server/jws.ts'
import { basic, encodeForm, type Form, post } from '../support/server/requests.ts'
import { client } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'
import { signedIn } from '../support/server/tokens.ts'

const server = await testServer()
const { key } = await seedEndpoints(server)
t.teardown(() => server.close())
await server.store.clients.insert(client({ id: 'stranger' }))

/** Values sent by every test; they must appear nowhere. */
const MARK = 'm4rk'

const REFUSED: Record<string, string> = {
  '/oauth2/token': 'token.refused',
  '/oauth2/revoke': 'revocation.refused',
  '/oauth2/introspect': 'introspection.refused',
}

/** The only values allowed in an audit line of a refusal: names that the server makes or stores. */
const FIELDS = ['audit', 'actor', 'client_id', 'grant_type', 'reason', 'detail', 'ip', 'request_id', 'sub']

async function auditsOf(work: () => Promise<LightMyRequestResponse>) {
  const from = server.logger.lines.length
  const answer = await work()
  const lines = server.logger.lines
    .slice(from)
    .map(({ fields }) => fields as AuditFields & { audit?: string })
  return { answer, lines: lines.filter(({ audit }) => audit !== undefined) }
}

/** What can be wrong with a request, in the order in which it is checked. */
const WRONG: Record<
  string,
  (form: Form) => { form?: Form; text?: string; headers?: Record<string, string> }
> = {
  'content type': (form) => ({ form, headers: { 'content-type': `text/${MARK}` } }),
  'too large': () => ({ text: MARK.repeat(50_000) }),
  'too many': () => ({ text: `${MARK}&`.repeat(100) }),
  malformed: () => ({ text: `${MARK}=%zz` }),
  repeated: () => ({ text: `${MARK}=1&${MARK}=2` }),
  empty: () => ({ text: '' }),
  'an unknown scheme': (form) => ({ form, headers: { authorization: `Bearer ${MARK}` } }),
  'malformed Basic': (form) => ({ form, headers: { authorization: `Basic ${MARK}%` } }),
  'an unknown client': (form) => ({ form, headers: { authorization: basic(MARK, MARK) } }),
  'a secret as the name': (form) => ({ form, headers: { authorization: basic(`ktcs_${MARK}`, '') } }),
  'a wrong secret': (form) => ({ form, headers: { authorization: basic('machine', MARK) } }),
  'two methods': (form) => ({ form: { ...form, client_secret: MARK, client_id: MARK } }),
  'another client_id': (form) => ({ form: { ...form, client_id: MARK } }),
  'an unknown grant': (form) => ({ form: { ...form, grant_type: MARK, token: '' } }),
  'an unknown scope': (form) => ({
    form: { ...form, grant_type: 'client_credentials', scope: MARK, token: '' },
  }),
  'an unknown resource': (form) => ({
    form: { ...form, grant_type: 'client_credentials', resource: `https://${MARK}.test`, token: '' },
  }),
  'an assertion': () => ({ form: asserting(`${MARK}.${MARK}.${MARK}`), headers: { authorization: '' } }),
}

t.test(
  'every 4xx response of a protocol endpoint is audited once, without the submitted values (RFC 6749 §5.2; docs/security.md A8)',
  async (t) => {
    for (const [url, event] of Object.entries(REFUSED)) {
      for (const [label, make] of Object.entries(WRONG)) {
        const { form = {}, text, headers = {} } = make({ grant_type: 'client_credentials', token: MARK })
        const all: Record<string, string> = {
          'content-type': FORM,
          authorization: basic('machine'),
          'user-agent': MARK,
          origin: `https://${MARK}.test`,
          ...headers,
        }
        if (all.authorization === '') delete all.authorization
        const payload = text ?? encodeForm(form)
        const { answer, lines } = await auditsOf(() =>
          server.inject({ method: 'POST', url, headers: all, payload }),
        )
        if (answer.statusCode === 200) continue
        t.ok(answer.statusCode < 500, `${url}, ${label}: ${answer.statusCode}`)
        const refusals = lines.filter(({ audit }) => audit === event)
        t.equal(refusals.length, 1, `${url}, ${label}: one line`)
        t.match(refusals[0], { reason: answer.json().error, ip: '127.0.0.1', request_id: /^[\w-]{12,}$/ })
        t.notMatch(JSON.stringify(lines), MARK, `${url}, ${label}: nothing that was sent`)
        const unexpected = lines.flatMap((line) => Object.keys(line)).filter((name) => !FIELDS.includes(name))
        t.same(unexpected, [], `${url}, ${label}`)
      }
    }
  },
)

t.test('a refusal of an identified client is audited with its client_id', async (t) => {
  const { access_token: token } = await signedIn(server)
  const headers = { authorization: basic('stranger') }
  const cases: Record<string, [Form, Partial<AuditFields>]> = {
    '/oauth2/token': [
      { grant_type: 'password' },
      {
        actor: 'client:stranger',
        client_id: 'stranger',
        grant_type: 'password',
        reason: 'unauthorized_client',
      },
    ],
    '/oauth2/revoke': [
      { token },
      { actor: 'client:stranger', client_id: 'stranger', reason: 'unauthorized_client' },
    ],
    '/oauth2/introspect': [
      {},
      { actor: 'client:stranger', client_id: 'stranger', reason: 'invalid_request' },
    ],
  }
  for (const [url, [form, expected]] of Object.entries(cases)) {
    const { lines } = await auditsOf(() => post(server, url, form, headers))
    t.match(lines, [{ audit: REFUSED[url] ?? '', ...expected }], url)
  }
})

t.test('a failed client authentication is audited with the client, if known, and the method', async (t) => {
  const stranger = assertion({
    client: 'signer',
    key: clientKey(),
    audience: ISSUER,
    now: server.clock.now(),
  })
  const tries: [Form, Record<string, string>, Partial<AuditFields>][] = [
    [{}, { authorization: basic('machine', 'x') }, { client_id: 'machine', reason: 'client_secret_basic' }],
    [{ client_id: 'poster', client_secret: 'x' }, {}, { client_id: 'poster', reason: 'client_secret_post' }],
    [asserting(stranger), {}, { client_id: 'signer', reason: 'private_key_jwt' }],
    [{ client_id: 'machine' }, {}, { client_id: 'machine', reason: 'none' }],
  ]
  for (const [form, headers, expected] of tries) {
    const { lines } = await auditsOf(() => post(server, '/oauth2/revoke', { token: 'x', ...form }, headers))
    t.match(lines[0], { audit: 'client.authentication_failed', ...expected })
    t.equal(lines.length, 2, 'and the refusal')
  }
  const { lines } = await auditsOf(() =>
    post(server, '/oauth2/revoke', { token: 'x' }, { authorization: basic('nobody', 'x') }),
  )
  t.notOk('client_id' in (lines[0] ?? {}), 'an unauthenticated client has no name')
})

t.test('an issued token is audited with actor, client and scope, but not the token itself', async (t) => {
  for (const request of goodRequests(server, key)) {
    const text = encodeForm(await request.form())
    const { answer, lines } = await auditsOf(() => postText(server, request, text))
    t.equal(answer.statusCode, 200, request.name)
    const issued = lines.filter(({ audit }) => audit === 'token.issued')
    t.equal(issued.length, request.url === '/oauth2/token' ? 1 : 0, request.name)
    for (const line of issued) {
      t.match(line, {
        actor: /^(client|user):/,
        client_id: String,
        sub: String,
        jti: String,
        grant_type: String,
        scope: /^[\x21-\x7E ]+$/,
        ip: '127.0.0.1',
        request_id: String,
      })
    }
  }
})
