import t from 'tap'
import { assertionServer } from '../support/server/client-assertions.ts'
import { testClock } from '../support/server/clock.ts'
import { refused } from '../support/server/error-responses.ts'
import { asserting } from '../support/server/jws.ts'
import { post } from '../support/server/requests.ts'
import { testServer } from '../support/server/server.ts'

const { server, register, keys, make, present, accepted } = await assertionServer(t)
const USED = { status: 401, error: 'invalid_client' }

t.test('a client assertion can be used only once (RFC 7523 §3; docs/security.md B23, P30)', async (t) => {
  const text = make()
  await accepted(t, text, 'the first time')
  for (let i = 0; i < 3; i += 1) refused(t, await present(text), USED, 'again')
  await accepted(t, make(), 'a fresh assertion')
})

t.test(
  'a client assertion can be used only once across all endpoints (RFC 7523 §3; docs/security.md B23)',
  async (t) => {
    const urls = ['/oauth2/token', '/oauth2/revoke', '/oauth2/introspect']
    for (const first of urls) {
      const text = make()
      await accepted(t, text, first, first)
      for (const url of urls) refused(t, await present(text, url), USED, `${first}, then ${url}`)
    }
  },
)

t.test(
  'of 50 concurrent uses of an assertion exactly one is accepted (RFC 7523 §3; docs/security.md B23)',
  async (t) => {
    const text = make()
    const answers = await Promise.all(Array.from({ length: 50 }, () => present(text)))
    const codes = answers.map(({ statusCode }) => statusCode).sort()
    t.same(codes, [200, ...Array(49).fill(401)])
  },
)

t.test(
  'reusing a jti in another assertion of the same client is a replay, but not across clients (RFC 7523 §3; docs/security.md B23)',
  async (t) => {
    await register('twin', [keys.ES256.jwk])
    await accepted(t, make({ claims: { jti: 'shared' } }), 'the first')
    refused(t, await present(make({ claims: { jti: 'shared', iat: undefined } })), USED)
    await accepted(t, make({ client: 'twin', claims: { jti: 'shared' } }), 'the other client')
  },
)

t.test(
  'a refused assertion is not consumed, and one whose request failed later is (RFC 7523 §3; docs/security.md B23)',
  async (t) => {
    const text = make()
    // The name of another client beside it: refused before the assertion is examined.
    const body = { grant_type: 'client_credentials', client_id: 'other', ...asserting(text) }
    refused(t, await post(server, '/oauth2/token', body), { error: 'invalid_request' })
    refused(t, await present(`${text}AAAA`), USED)
    await accepted(t, text, 'still valid')

    const proven = make()
    const unsupported = { grant_type: 'x', ...asserting(proven) }
    refused(t, await post(server, '/oauth2/token', unsupported), { error: 'unsupported_grant_type' })
    refused(t, await present(proven), USED, 'the client was authenticated with it')
  },
)

t.test(
  'a replay within the clock tolerance after exp is refused, even after pruning (RFC 7523 §3; docs/security.md B23)',
  async (t) => {
    const now = server.clock.now()
    const text = make({ claims: { exp: now + 60 } })
    await accepted(t, text, 'the first time')
    for (const seconds of [59, 1, 1, 28, 1, 1]) {
      server.clock.tick(seconds)
      await server.deps.jobs.prune()
      refused(t, await present(text), USED, `${server.clock.now() - now - 60} s after exp`)
    }
    const late = make({ claims: { exp: server.clock.now() - 29 } })
    await accepted(t, late, 'an unused assertion is accepted at that time')
    refused(t, await present(late), USED)
  },
)

t.test(
  'a used jti is deleted once its assertion can no longer be accepted (docs/security.md Q7, Q20)',
  async (t) => {
    const count = async () => (await server.store.db.query('SELECT id FROM single_use')).length
    const text = make()
    await accepted(t, text, 'one')
    server.clock.tick(3600)
    await server.deps.jobs.prune()
    server.clock.tick(-3600)
    refused(t, await present(text), USED, 'a clock that is set back does not make it valid again')
    server.clock.tick(2 * 3600)
    await server.deps.jobs.prune()
    t.equal(await count(), 0)
  },
)

t.test(
  'a replay after a restart or on another node is refused (RFC 7523 §3; docs/security.md B23, P30)',
  async (t) => {
    const options = {
      database: `${t.testdir()}/keyturn.db`,
      masterKey: Buffer.alloc(32, 9).toString('base64url'),
      clock: testClock(),
    }
    const first = await assertionServer(t, options)
    const [text, other] = [first.make(), first.make()]
    await first.accepted(t, text, 'the first node')

    const node = await testServer(options)
    const at = (text: string) =>
      post(node, '/oauth2/token', { grant_type: 'client_credentials', ...asserting(text) })
    refused(t, await at(text), USED, 'at the second node')
    t.equal((await at(other)).statusCode, 200)
    refused(t, await first.present(other), USED, 'back on the first')

    const raced = first.make()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? first.present(raced) : at(raced))),
    )
    t.equal(
      answers.filter(({ statusCode }) => statusCode === 200).length,
      1,
      'exactly one of the two nodes accepts it',
    )
    await node.close()

    const restarted = await testServer(options)
    t.teardown(() => restarted.close())
    const again = await post(restarted, '/oauth2/token', {
      grant_type: 'client_credentials',
      ...asserting(text),
    })
    refused(t, again, USED, 'after a restart')
  },
)
