import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { systemRandom } from '../../src/system.ts'
import { createRefreshTokenCodec } from '../../src/tokens/refresh-token.ts'
import { testClock } from '../support/server/clock.ts'
import { refresh } from '../support/server/requests.ts'
import { seed, session } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { active, revoke } from '../support/server/tokens.ts'

const GRACE = 10
const DAY = 86_400

/** Two nodes over one store, with one clock; a session may be used at either at any time. */
const clock = testClock()
const masterKey = randomBytes(32)
const options = {
  database: join(t.testdir(), 'keyturn.db'),
  masterKey: masterKey.toString('base64url'),
  clock,
}
const [left, right] = [await testServer(options), await testServer(options)]
t.teardown(async () => {
  await left.close()
  await right.close()
})
const { alice } = await seed(left.store)
const nodes: readonly TestServer[] = [left, right]
const at = (node: number): TestServer => nodes[node] ?? left
const codec = createRefreshTokenCodec(left.deps.keys.roots)

/** A sign-in without its password, which would take most of the time. */
async function begin(): Promise<{ sid: string; token: (generation: number) => string }> {
  const sid = systemRandom.id()
  await left.store.sessions.insert(session(clock.now(), { id: sid, userId: alice.id }))
  return { sid, token: (generation) => codec.write({ sessionId: sid, generation }) }
}

/** The successor, or null for a refusal; anything else is a failure of the test. */
async function present(node: number, token: string): Promise<string | null> {
  const answer = await refresh(at(node), token)
  if (answer.statusCode === 200) return answer.json().refresh_token
  if (answer.statusCode === 400 && answer.json().error === 'invalid_grant') return null
  throw new Error(`${answer.statusCode} ${answer.body}`)
}

async function livingBranches(tokens: readonly string[]): Promise<number> {
  const living = await Promise.all([...new Set(tokens)].map((token, i) => active(at(i % 2), token)))
  return living.filter(Boolean).length
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

t.test(
  'any sequence of refresh, retry, replay, revoke and time on two nodes goes by the rules (F68, F69, F75)',
  async (t) => {
    const property = fc.asyncProperty(steps, async (sequence) => {
      const { token } = await begin()
      // The rules of CONTRACT §5 in four variables.
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
          if (!alive) assert.equal(successor, null, 'what is dead stays dead')
          else if (presented === generation) {
            assert.equal(successor, token(generation + 1), 'the next of the chain')
            generation += 1
            rotatedAt = clock.now()
          } else if (isRetry) assert.equal(successor, token(generation), 'the same successor')
          else {
            assert.equal(successor, null, 'a replay')
            alive = false
          }
        }
        const known = Array.from({ length: generation }, (_, i) => token(i + 1))
        assert.equal(await livingBranches(known), alive ? 1 : 0)
      }
    })
    await t.resolves(fc.assert(property, { numRuns: 40 }))
  },
)

t.test(
  'a client that follows the rules is never logged out, whatever gets lost (F75, §4 row 16)',
  async (t) => {
    for (const { logger } of nodes) logger.lines.length = 0
    const visits = fc.array(
      fc.record({
        // How often the same request is sent at once, and how often its answers are all lost before one arrives.
        parallel: fc.integer({ min: 1, max: 4 }),
        lost: fc.nat({ max: 3 }),
        nodes: fc.infiniteStream(node),
        // A client that heard nothing asks again within the window, which counts from the first time.
        within: fc.nat({ max: GRACE }),
        pause: fc.nat({ max: 5 * DAY }),
      }),
      { minLength: 1, maxLength: 6 },
    )
    const property = fc.asyncProperty(visits, async (sequence) => {
      const { token } = await begin()
      let held = token(1)
      for (const { parallel, lost, nodes: any, within, pause } of sequence) {
        const ask = () =>
          Promise.all(Array.from({ length: parallel }, () => present(any.next().value ?? 0, held)))
        const heard: (string | null)[] = []
        for (let i = 0; i < lost; i += 1) heard.push(...(await ask()))
        if (lost > 0) clock.tick(within)
        heard.push(...(await ask()))
        assert.equal(new Set(heard).size, 1, 'always the same answer')
        const [successor] = heard
        if (!successor) throw new Error('logged out')
        held = successor
        clock.tick(pause)
      }
    })
    await t.resolves(fc.assert(property, { numRuns: 30 }))
    for (const { logger } of nodes) t.same(logger.audits('token.reuse_detected'), [])
  },
)

t.test(
  'under every interleaving of store calls there is one successor and one end (F69, §3.1 #1 #6)',
  async (t) => {
    let scheduler: fc.Scheduler | undefined
    for (const { store } of nodes) {
      const { find, rotate, revoke: end } = store.sessions
      const scheduled =
        <A extends unknown[], R>(label: string, verb: (...args: A) => Promise<R>) =>
        (...args: A): Promise<R> =>
          scheduler ? scheduler.schedule(Promise.resolve(), label).then(() => verb(...args)) : verb(...args)
      t.teardown(() => Object.assign(store.sessions, { find, rotate, revoke: end }))
      Object.assign(store.sessions, {
        find: scheduled('find', find),
        rotate: scheduled('rotate', async (...args: Parameters<typeof rotate>) => {
          const before = await find(args[0])
          const rotated = await rotate(...args)
          assert.ok(!rotated || before?.revokedAt === null, 'an ended session goes on')
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

      const session = await left.store.sessions.find(sid)
      if (!session) throw new Error('the session is gone')
      const won = (act: string) => outcomes.filter((one) => one.act === act).map((one) => one.successor)
      for (const successor of won('current')) assert.ok(successor === null || successor === token(4))
      for (const successor of won('before')) assert.ok(successor === null || successor === token(3))
      assert.deepEqual(won('replay').filter(Boolean), [], 'a replay never succeeds')
      assert.ok(session.generation === 3 || session.generation === 4, 'one step at most')
      assert.equal(session.generation === 4, won('current').includes(token(4)), 'a step for every success')
      const ended = won('replay').length > 0 || won('revoke').length > 0
      // "before" is a retry, or, once the session has gone on, a replay.
      if (ended) assert.notEqual(session.revokedAt, null, 'what was answered as ended has ended')
      else if (won('before').length === 0) assert.equal(session.revokedAt, null, 'and nothing else ends it')
      const branches = await livingBranches([1, 2, 3, 4, 5].map(token))
      assert.equal(branches, session.revokedAt === null ? 1 : 0)
    })
    await t.resolves(fc.assert(property, { numRuns: 60 }))
  },
)
