/** Rotation of refresh tokens: successors, retries within the grace window, and replays, on one node and on two. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import fc from 'fast-check'
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { systemRandom } from '../../src/system.ts'
import { createRefreshTokenCodec } from '../../src/tokens/refresh-token.ts'
import { testClock } from '../support/server/clock.ts'
import { claimsOf, refresh } from '../support/server/requests.ts'
import { seed, session } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { isActive, pairOf, refreshed, revoke, signedIn } from '../support/server/tokens.ts'

const GRACE = 10
const DAY = 86_400

/** Two nodes on one store with one clock; a session may be used on either at any time. */
const clock = testClock()
const masterKey = randomBytes(32)
const options = {
  database: join(t.testdir(), 'keyturn.db'),
  masterKey: masterKey.toString('base64url'),
  clock,
}
const [server, other] = [await testServer(options), await testServer(options)]
t.teardown(async () => {
  await server.close()
  await other.close()
})
const { alice } = await seed(server.store)
const { logger } = server
const nodes: readonly TestServer[] = [server, other]
const at = (node: number): TestServer => nodes[node] ?? server
const codec = createRefreshTokenCodec(server.deps.keys.dataKeys)

/** Creates a session without checking a password, which would take most of the time. */
async function begin(): Promise<{ sid: string; token: (generation: number) => string }> {
  const sid = systemRandom.id()
  await server.store.clientSessions.insert(session(clock.now(), { id: sid, userId: alice.id }))
  return { sid, token: (generation) => codec.write({ clientSessionId: sid, generation }) }
}

/** The successor, or null for a refusal; anything else fails the test. */
async function present(node: number, token: string): Promise<string | null> {
  const answer = await refresh(at(node), token)
  if (answer.statusCode === 200) return answer.json().refresh_token
  if (answer.statusCode === 400 && answer.json().error === 'invalid_grant') return null
  throw new Error(`${answer.statusCode} ${answer.body}`)
}

async function activeBranches(tokens: readonly string[]): Promise<number> {
  const states = await Promise.all([...new Set(tokens)].map((token, i) => isActive(at(i % 2), token)))
  return states.filter(Boolean).length
}

const node = fc.nat({ max: 1 })
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('refresh'), node, back: fc.constant(0) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('refresh'), node, back: fc.constant(1) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('refresh'), node, back: fc.integer({ min: 1, max: 4 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('tick'), node, back: fc.integer({ min: 1, max: 14 }) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke'), node, back: fc.nat({ max: 2 }) }) },
  ),
  { minLength: 3, maxLength: 25 },
)

const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().error]
const INVALID_GRANT = [400, 'invalid_grant']

t.test(
  'a refresh returns the next refresh token and an access token with the same claims (RFC 6749 §6)',
  async (t) => {
    const first = await signedIn(server)
    clock.tick(60)
    const second = await refreshed(server, first.refresh_token)
    t.not(second.refresh_token, first.refresh_token, 'rotated (RFC 9700 §4.14.2)')
    t.match(second, { token_type: 'Bearer', expires_in: 600, scope: first.scope })
    const [before, after] = [claimsOf(first.access_token), claimsOf(second.access_token)]
    for (const claim of ['iss', 'sub', 'aud', 'client_id', 'scope', 'roles', 'sid', 'auth_time']) {
      t.same(after[claim], before[claim], `the same ${claim}`)
    }
    t.equal(after.iat, clock.now())
    t.not(after.jti, before.jti)
  },
)

t.test(
  'refresh tokens of public clients rotate at every use (RFC 9700 §2.2.2; docs/security.md F67)',
  async (t) => {
    const first = await signedIn(server, {}, 'phone')
    const second = await refreshed(server, first.refresh_token, {}, 'phone')
    t.not(second.refresh_token, first.refresh_token)
    clock.tick(GRACE + 1)
    t.same(outcome(await refresh(server, first.refresh_token, {}, 'phone')), INVALID_GRANT)
    t.same(
      outcome(await refresh(server, second.refresh_token, {}, 'phone')),
      INVALID_GRANT,
      'the replay revokes it',
    )
  },
)

t.test(
  'fifty concurrent refreshes of one token get one successor (RFC 9700 §4.14.2; docs/security.md F69, P1, P2)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(server, token)))
    t.same(new Set(answers.map((answer) => answer.statusCode)), new Set([200]))
    const successors = new Set(answers.map((answer) => answer.json().refresh_token))
    t.equal(successors.size, 1, 'one live branch')
    t.equal(new Set(answers.map((answer) => answer.json().access_token)).size, 50)

    const [successor] = successors
    const row = await server.store.clientSessions.find(String(claimsOf(answers[0]?.json().access_token).sid))
    t.equal(row?.generation, 2, 'one rotation, not fifty')
    clock.tick(GRACE + 1)
    t.ok(await isActive(server, successor), 'and it is valid')
    t.equal((await refresh(server, successor)).statusCode, 200)
  },
)

t.test(
  'repeating a refresh whose response was lost returns the same successor (RFC 9700 §4.14.2; docs/security.md F75, Q16)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    const lost = await refreshed(server, token)
    for (const wait of [0, 3, GRACE - 3]) {
      clock.tick(wait)
      t.equal((await refreshed(server, token)).refresh_token, lost.refresh_token)
    }
    t.ok(await isActive(server, lost.refresh_token))
  },
)

t.test(
  'the retry window is not extended: a retry after 9 s succeeds and one after 11 s is a replay (RFC 9700 §4.14.2; docs/security.md F68, F75)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    const successor = await refreshed(server, token)
    clock.tick(9)
    t.equal((await refreshed(server, token)).refresh_token, successor.refresh_token)
    clock.tick(2)
    t.same(outcome(await refresh(server, token)), INVALID_GRANT)
    t.notOk(await isActive(server, successor.refresh_token))
  },
)

t.test(
  'a replay after the retry window revokes that session and no other (RFC 9700 §4.14.2; docs/security.md F68)',
  async (t) => {
    const other = await signedIn(server)
    const otherClient = await signedIn(server, {}, 'phone')
    const first = await signedIn(server)
    const second = await refreshed(server, first.refresh_token)
    clock.tick(GRACE + 1)
    t.ok(await isActive(server, second.access_token), 'valid before')
    t.same(outcome(await refresh(server, first.refresh_token)), INVALID_GRANT)

    t.same(
      outcome(await refresh(server, second.refresh_token)),
      INVALID_GRANT,
      'the attacker’s chain is revoked',
    )
    t.same(outcome(await refresh(server, first.refresh_token)), INVALID_GRANT)
    t.notOk(await isActive(server, second.refresh_token))
    t.notOk(await isActive(server, first.access_token), 'with all its access tokens')
    t.notOk(await isActive(server, second.access_token))

    t.ok(await isActive(server, other.access_token), 'the user’s other session continues')
    await refreshed(server, other.refresh_token)
    await refreshed(server, otherClient.refresh_token, {}, 'phone')
  },
)

t.test(
  'within the window only the previous token can be retried, and an older one revokes the session (RFC 9700 §4.14.2; docs/security.md F68, F75)',
  async (t) => {
    const a = await signedIn(server)
    const b = await refreshed(server, a.refresh_token)
    const c = await refreshed(server, b.refresh_token)
    t.equal((await refreshed(server, b.refresh_token)).refresh_token, c.refresh_token, 'B is a retry')
    t.same(outcome(await refresh(server, a.refresh_token)), INVALID_GRANT)
    t.same(
      outcome(await refresh(server, b.refresh_token)),
      INVALID_GRANT,
      'a revoked session answers no retry',
    )
    t.same(outcome(await refresh(server, c.refresh_token)), INVALID_GRANT)
    t.notOk(await isActive(server, c.access_token))
  },
)

t.test(
  'every refresh of a chain can be retried while it is the latest (RFC 9700 §4.14.2; docs/security.md F75)',
  async (t) => {
    let { refresh_token: token } = await signedIn(server)
    for (let step = 0; step < 5; step += 1) {
      const [one, two] = await Promise.all([refreshed(server, token), refreshed(server, token)])
      t.equal(one.refresh_token, two.refresh_token)
      token = one.refresh_token
      clock.tick(600)
    }
  },
)

t.test(
  'with REFRESH_GRACE=0s concurrent refreshes still get the same successor (RFC 9700 §4.14.2; docs/security.md F69)',
  async (t) => {
    const strict = await testServer({ settings: { REFRESH_GRACE: '0s' } })
    t.teardown(() => strict.close())
    await seed(strict.store)
    const first = await signedIn(strict)
    const [one, two] = await Promise.all([1, 2].map(() => refreshed(strict, first.refresh_token)))
    t.equal(one?.refresh_token, two?.refresh_token)
    strict.clock.tick(1)
    t.same(outcome(await refresh(strict, first.refresh_token)), INVALID_GRANT)
  },
)

t.test('a replay is audited once with client, user, session and address (RFC 9700 §4.14.2)', async (t) => {
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
    'audited once, although twenty came at once',
  )
  t.equal(lines.length, 1)
  t.notMatch(JSON.stringify(logger.lines), first.refresh_token.slice(-43), 'without the token')
})

t.test(
  'refreshing continues the same session and creates no new one (RFC 9700 §4.14.2; docs/security.md F69)',
  async (t) => {
    const before = await server.store.clientSessions.list({ userId: alice.id }, 1000)
    let { refresh_token: token } = await signedIn(server)
    for (let step = 0; step < 10; step += 1) token = pairOf(await refresh(server, token)).refresh_token
    const after = await server.store.clientSessions.list({ userId: alice.id }, 1000)
    t.equal(after.length, before.length + 1, 'the store grows with sign-ins, not with refreshes')
  },
)

t.test(
  'any sequence of refresh, retry, replay, revocation and time on two nodes obeys the model (RFC 9700 §4.14.2; docs/security.md F68, F69, F75)',
  async (t) => {
    const property = fc.asyncProperty(steps, async (sequence) => {
      const { token } = await begin()
      // The rules of refresh tokens as a model with four variables (RFC 9700 §4.14.2).
      let generation = 1
      let rotatedAt = clock.now()
      let alive = true
      for (const step of sequence) {
        const presented = Math.max(1, generation - step.back)
        if (step.do === 'tick') clock.tick(step.back)
        else if (step.do === 'revoke') {
          const answer = await revoke(at(step.node), token(presented))
          if (answer.statusCode !== 200) throw new Error(answer.body)
          alive = false
        } else {
          const successor = await present(step.node, token(presented))
          const isRetry = presented === generation - 1 && clock.now() - rotatedAt <= GRACE
          if (!alive) assert.equal(successor, null, 'a revoked session stays revoked')
          else if (presented === generation) {
            assert.equal(successor, token(generation + 1), 'the next token of the chain')
            generation += 1
            rotatedAt = clock.now()
          } else if (isRetry) assert.equal(successor, token(generation), 'the same successor')
          else {
            assert.equal(successor, null, 'a replay')
            alive = false
          }
        }
        const known = Array.from({ length: generation }, (_, i) => token(i + 1))
        assert.equal(await activeBranches(known), alive ? 1 : 0)
      }
    })
    await t.resolves(fc.assert(property, { numRuns: 40 }))
  },
)

t.test(
  'a client that follows the rules never loses its session, whichever responses are lost (RFC 9700 §4.14.2; docs/security.md F75, Q16)',
  async (t) => {
    for (const { logger } of nodes) logger.lines.length = 0
    const visits = fc.array(
      fc.record({
        // How often the same request is sent at once, and how often all its responses are lost before one arrives.
        parallel: fc.integer({ min: 1, max: 4 }),
        lost: fc.nat({ max: 3 }),
        nodes: fc.infiniteStream(node),
        // A client that got no response retries within the window, which counts from the first refresh.
        within: fc.nat({ max: GRACE }),
        pause: fc.nat({ max: 5 * DAY }),
      }),
      { minLength: 1, maxLength: 6 },
    )
    const property = fc.asyncProperty(visits, async (sequence) => {
      const { token } = await begin()
      let heldToken = token(1)
      for (const { parallel, lost, nodes: any, within, pause } of sequence) {
        const ask = () =>
          Promise.all(Array.from({ length: parallel }, () => present(any.next().value ?? 0, heldToken)))
        const received: (string | null)[] = []
        for (let i = 0; i < lost; i += 1) received.push(...(await ask()))
        if (lost > 0) clock.tick(within)
        received.push(...(await ask()))
        assert.equal(new Set(received).size, 1, 'always the same response')
        const [successor] = received
        if (!successor) throw new Error('logged out')
        heldToken = successor
        clock.tick(pause)
      }
    })
    await t.resolves(fc.assert(property, { numRuns: 30 }))
    for (const { logger } of nodes) t.same(logger.audits('token.reuse_detected'), [])
  },
)

t.test(
  'under every interleaving of store calls there is one successor and one revocation (RFC 9700 §4.14.2, RFC 7523 §3; docs/security.md F69, P1, P6)',
  async (t) => {
    let scheduler: fc.Scheduler | undefined
    for (const { store } of nodes) {
      const { find, rotate, revoke: end } = store.clientSessions
      const scheduled =
        <A extends unknown[], R>(label: string, verb: (...args: A) => Promise<R>) =>
        (...args: A): Promise<R> =>
          scheduler ? scheduler.schedule(Promise.resolve(), label).then(() => verb(...args)) : verb(...args)
      t.teardown(() => Object.assign(store.clientSessions, { find, rotate, revoke: end }))
      Object.assign(store.clientSessions, {
        find: scheduled('find', find),
        rotate: scheduled('rotate', async (...args: Parameters<typeof rotate>) => {
          const before = await find(args[0])
          const rotated = await rotate(...args)
          assert.ok(!rotated || before?.revokedAt === null, 'a revoked session continues')
          return rotated
        }),
        revoke: scheduled('revoke', end),
      })
    }

    const acts = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.record({ act: fc.constant('current'), node }) },
        { weight: 2, arbitrary: fc.record({ act: fc.constant('before'), node }) },
        { weight: 1, arbitrary: fc.record({ act: fc.constant('replay'), node }) },
        { weight: 1, arbitrary: fc.record({ act: fc.constant('revoke'), node }) },
      ),
      { minLength: 2, maxLength: 6 },
    )
    const property = fc.asyncProperty(fc.scheduler(), acts, async (s, together) => {
      const { sid, token } = await begin()
      await present(0, token(1))
      await present(1, token(2))
      scheduler = s
      const work = together.map(async ({ act, node: where }) => {
        if (act === 'revoke') {
          const answer = await revoke(at(where), token(3))
          return { act, successor: answer.statusCode === 200 ? 'done' : 'failed' }
        }
        const generation = { current: 3, before: 2, replay: 1 }[act] ?? 3
        return { act, successor: await present(where, token(generation)) }
      })
      const outcomes = await s.waitFor(Promise.all(work)).finally(() => {
        scheduler = undefined
      })

      const session = await server.store.clientSessions.find(sid)
      if (!session) throw new Error('there is no session')
      const won = (act: string) => outcomes.filter((one) => one.act === act).map((one) => one.successor)
      for (const successor of won('current')) assert.ok(successor === null || successor === token(4))
      for (const successor of won('before')) assert.ok(successor === null || successor === token(3))
      assert.deepEqual(won('replay').filter(Boolean), [], 'a replay never succeeds')
      assert.ok(session.generation === 3 || session.generation === 4, 'one step at most')
      assert.equal(
        session.generation === 4,
        won('current').includes(token(4)),
        'one rotation for every success',
      )
      const ended = won('replay').length > 0 || won('revoke').length > 0
      // "before" is a retry, or a replay once the session has been refreshed further.
      if (ended) assert.notEqual(session.revokedAt, null, 'a session reported as ended has ended')
      else if (won('before').length === 0) assert.equal(session.revokedAt, null, 'and nothing else ends it')
      const branches = await activeBranches([1, 2, 3, 4, 5].map(token))
      assert.equal(branches, session.revokedAt === null ? 1 : 0)
    })
    await t.resolves(fc.assert(property, { numRuns: 60 }))
  },
)
