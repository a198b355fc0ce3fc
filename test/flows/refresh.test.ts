import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { claimsOf, refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { active, pairOf, refreshed, signedIn } from '../support/server/tokens.ts'

const GRACE = 10

const server = await testServer()
t.teardown(() => server.close())
const { alice } = await seed(server.store)
const { clock, logger } = server

const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().error]
const DEAD = [400, 'invalid_grant']

t.test(
  'a refresh gives the next token of the chain, and an access token like the first (RFC 6749 §6)',
  async (t) => {
    const first = await signedIn(server)
    clock.tick(60)
    const second = await refreshed(server, first.refresh_token)
    t.not(second.refresh_token, first.refresh_token, 'rotated (F67, RFC 9700 §4.14.2)')
    t.match(second, { token_type: 'Bearer', expires_in: 600, scope: first.scope })
    const [before, after] = [claimsOf(first.access_token), claimsOf(second.access_token)]
    for (const claim of ['iss', 'sub', 'aud', 'client_id', 'scope', 'roles', 'sid', 'auth_time']) {
      t.same(after[claim], before[claim], `the same ${claim}`)
    }
    t.equal(after.iat, clock.now())
    t.not(after.jti, before.jti)
  },
)

t.test('a public client gets a new refresh token each time too (F67, RFC 9700 §2.2.2)', async (t) => {
  const first = await signedIn(server, {}, 'phone')
  const second = await refreshed(server, first.refresh_token, {}, 'phone')
  t.not(second.refresh_token, first.refresh_token)
  clock.tick(GRACE + 1)
  t.same(outcome(await refresh(server, first.refresh_token, {}, 'phone')), DEAD)
  t.same(outcome(await refresh(server, second.refresh_token, {}, 'phone')), DEAD, 'reuse ends it')
})

t.test(
  'fifty parallel refreshes of one token: fifty answers, one successor, no fork (F69, §3.1 #1 #2)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(server, token)))
    t.same(new Set(answers.map((answer) => answer.statusCode)), new Set([200]))
    const successors = new Set(answers.map((answer) => answer.json().refresh_token))
    t.equal(successors.size, 1, 'one live branch')
    t.equal(new Set(answers.map((answer) => answer.json().access_token)).size, 50)

    const [successor] = successors
    const row = await server.store.sessions.find(String(claimsOf(answers[0]?.json().access_token).sid))
    t.equal(row?.generation, 2, 'one step, not fifty')
    clock.tick(GRACE + 1)
    t.ok(await active(server, successor), 'and it lives')
    t.equal((await refresh(server, successor)).statusCode, 200)
  },
)

t.test('a lost answer is asked for again and is the same (F75, §4 row 16)', async (t) => {
  const { refresh_token: token } = await signedIn(server)
  const lost = await refreshed(server, token)
  for (const wait of [0, 3, GRACE - 3]) {
    clock.tick(wait)
    t.equal((await refreshed(server, token)).refresh_token, lost.refresh_token)
  }
  t.ok(await active(server, lost.refresh_token))
})

t.test(
  'the window does not slide: a retry at +9 s is answered, one at +11 s is reuse (F68, F75)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    const successor = await refreshed(server, token)
    clock.tick(9)
    t.equal((await refreshed(server, token)).refresh_token, successor.refresh_token)
    clock.tick(2)
    t.same(outcome(await refresh(server, token)), DEAD)
    t.notOk(await active(server, successor.refresh_token))
  },
)

t.test('a replay one second past the window ends that session and no other (F68, must-show 5)', async (t) => {
  const other = await signedIn(server)
  const otherClient = await signedIn(server, {}, 'phone')
  const first = await signedIn(server)
  const second = await refreshed(server, first.refresh_token)
  clock.tick(GRACE + 1)
  t.ok(await active(server, second.access_token), 'alive before')
  t.same(outcome(await refresh(server, first.refresh_token)), DEAD)

  t.same(outcome(await refresh(server, second.refresh_token)), DEAD, 'the thief’s branch is dead')
  t.same(outcome(await refresh(server, first.refresh_token)), DEAD)
  t.notOk(await active(server, second.refresh_token))
  t.notOk(await active(server, first.access_token), 'with all its access tokens')
  t.notOk(await active(server, second.access_token))

  t.ok(await active(server, other.access_token), 'the user’s other sign-in lives')
  await refreshed(server, other.refresh_token)
  await refreshed(server, otherClient.refresh_token, {}, 'phone')
})

t.test(
  'inside the window only the token before the last is a retry: A→B→C, then A, ends it (F68, F75)',
  async (t) => {
    const a = await signedIn(server)
    const b = await refreshed(server, a.refresh_token)
    const c = await refreshed(server, b.refresh_token)
    t.equal((await refreshed(server, b.refresh_token)).refresh_token, c.refresh_token, 'B is a retry')
    t.same(outcome(await refresh(server, a.refresh_token)), DEAD)
    t.same(outcome(await refresh(server, b.refresh_token)), DEAD, 'no retry of what has ended')
    t.same(outcome(await refresh(server, c.refresh_token)), DEAD)
    t.notOk(await active(server, c.access_token))
  },
)

t.test('the retry of a retry: every step may be repeated once it is the last (F75)', async (t) => {
  let { refresh_token: token } = await signedIn(server)
  for (let step = 0; step < 5; step += 1) {
    const [one, two] = await Promise.all([refreshed(server, token), refreshed(server, token)])
    t.equal(one.refresh_token, two.refresh_token)
    token = one.refresh_token
    clock.tick(600)
  }
})

t.test('REFRESH_GRACE=0s: even then two at the same moment get the same successor (F69)', async (t) => {
  const strict = await testServer({ settings: { REFRESH_GRACE: '0s' } })
  t.teardown(() => strict.close())
  await seed(strict.store)
  const first = await signedIn(strict)
  const [one, two] = await Promise.all([1, 2].map(() => refreshed(strict, first.refresh_token)))
  t.equal(one?.refresh_token, two?.refresh_token)
  strict.clock.tick(1)
  t.same(outcome(await refresh(strict, first.refresh_token)), DEAD)
})

t.test(
  'reuse leaves one line in the audit trail: which client, whose session, from where (RFC 9700 §4.14.2)',
  async (t) => {
    const first = await signedIn(server)
    await refreshed(server, first.refresh_token)
    clock.tick(GRACE + 1)
    logger.lines.length = 0
    const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(server, first.refresh_token)))
    t.same(new Set(answers.map((answer) => answer.statusCode)), new Set([400]))
    const lines = logger.audits('token.reuse_detected')
    t.match(
      lines,
      [
        {
          actor: 'client:app',
          client_id: 'app',
          sub: alice.id,
          sid: claimsOf(first.access_token).sid,
          ip: '127.0.0.1',
          request_id: /./,
        },
      ],
      'said once, although twenty came at once',
    )
    t.equal(lines.length, 1)
    t.notMatch(JSON.stringify(logger.lines), first.refresh_token.slice(-43), 'without the token')
  },
)

t.test('whoever refreshes gets the session’s next token, not a session of his own (F69)', async (t) => {
  const before = await server.store.sessions.list({ userId: alice.id }, 1000)
  let { refresh_token: token } = await signedIn(server)
  for (let step = 0; step < 10; step += 1) token = pairOf(await refresh(server, token)).refresh_token
  const after = await server.store.sessions.list({ userId: alice.id }, 1000)
  t.equal(after.length, before.length + 1, 'the store grows with sign-ins, not with refreshes')
})
