import t, { type Test } from 'tap'
import { RotationUnsafe, revokeKey, rotateRing } from '../../src/keys/rotate.ts'
import type { Seconds } from '../../src/system.ts'
import { type CachingVerifier, type Issued, issued, verifiers } from '../support/issuers/caching-verifier.ts'
import { clientCredentials, kidOf } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { refreshed, signedIn } from '../support/server/tokens.ts'

const HOUR = 3600
const DAY = 24 * HOUR
const VERIFIER_CACHE = DAY

/** Live tokens, and everyone who verifies them. */
class World {
  readonly server: TestServer
  readonly watchers: CachingVerifier[]
  readonly failures: string[] = []
  verified = 0
  private alive: Issued[] = []

  constructor(server: TestServer) {
    this.server = server
    this.watchers = verifiers(server, 20, VERIFIER_CACHE)
  }

  /** One token of each kind of client, with lifetimes of ten minutes and a day. */
  async issue(): Promise<void> {
    for (const as of ['machine', 'slow']) {
      const { access_token: token } = (await clientCredentials(this.server, {}, as)).json()
      this.add(token)
    }
  }

  add(token: string): void {
    this.alive.push(issued(token))
  }

  /** Verifies every live token with every verifier. */
  async verify(): Promise<void> {
    const now = this.server.clock.now()
    this.alive = this.alive.filter(({ exp }) => exp > now)
    for (const watcher of this.watchers) {
      for (const token of this.alive) {
        const complaint = await watcher.refusalReason(token)
        this.verified += 1
        if (complaint !== undefined) this.failures.push(complaint)
      }
    }
  }

  /** Advances the time, and runs the server’s background jobs. */
  async wait(seconds: Seconds): Promise<void> {
    this.server.clock.tick(seconds)
    await this.server.poll()
  }

  /** Advances the time while tokens are issued and verified. */
  async pass(seconds: Seconds): Promise<void> {
    await this.wait(seconds)
    await this.issue()
    await this.verify()
  }
}

async function world(t: Test, settings: Record<string, string>): Promise<World> {
  const server = await testServer({ settings })
  t.teardown(() => server.close())
  await seed(server.store)
  await server.store.clients.insert(client({ id: 'slow', accessTokenTtl: DAY }))
  const created = new World(server)
  await created.issue()
  await created.verify()
  return created
}
const published = async (server: TestServer): Promise<string[]> =>
  (await server.inject({ url: '/.well-known/jwks.json' })).json().keys.map((key: { kid: string }) => key.kid)

t.test(
  'ten rotations cause no failure at twenty verifiers that fetch only when their cache expires (OpenID Connect Core §10.1.1; docs/security.md H92)',
  async (t) => {
    const w = await world(t, { KEY_ROTATION: 'off' })
    const { server } = w
    const { keys } = server.deps
    let session = await signedIn(server)
    const signers = new Set<string>()

    for (let rotation = 0; rotation < 10; rotation += 1) {
      // One verifier has just fetched: it will cache this JWKS for as long as allowed.
      w.watchers[19 - rotation]?.clearCache()
      w.watchers[19]?.clearCache()
      await w.verify()

      const ring = await rotateRing(keys, { actor: 'operator:test' })
      await server.poll()
      for (const seconds of [0, 1, 1, 8, 50, 1, 60, 479, 1, 60]) await w.pass(seconds)
      session = await refreshed(server, session.refresh_token)
      w.add(session.access_token)
      signers.add(kidOf(session.access_token))
      t.equal(kidOf(session.access_token), ring.keys.find((key) => key.state === 'active')?.kid)

      const seen = await keys.store.ring.read()
      const again = await rotateRing(keys, { actor: 'operator:test' }).catch((error) => error)
      t.ok(again instanceof RotationUnsafe, 'the next rotation would be unsafe')
      t.equal(again.safeFrom, server.clock.now() - 661 + VERIFIER_CACHE, 'and the error says when it is safe')
      t.same(await keys.store.ring.read(), seen, 'nothing has changed')

      while (server.clock.now() < again.safeFrom - 2 * HOUR) await w.pass(HOUR)
      server.clock.set(again.safeFrom - 2)
      await w.pass(1)
      await t.rejects(rotateRing(keys, { actor: 'operator:test' }), RotationUnsafe, 'a second too early')
      await w.pass(1)
    }
    t.equal(signers.size, 10, 'ten keys have signed')

    t.ok((await published(server)).length > 2, 'the last key is kept for as long as its tokens live')
    for (let hour = 0; hour < 25; hour += 1) {
      await w.wait(HOUR)
      await w.verify()
    }
    t.equal((await published(server)).length, 2, 'and no longer')
    t.same(w.failures, [])
    t.ok(w.verified > 50_000, `${w.verified} verifications`)
  },
)

t.test(
  'after revoking the active key new tokens verify without any fetch (OpenID Connect Core §10.1.1; docs/security.md H92)',
  async (t) => {
    const w = await world(t, { KEY_ROTATION: 'off' })
    const { server, watchers } = w
    await rotateRing(server.deps.keys, { actor: 'operator:test' })
    for (let hour = 0; hour < 24; hour += 1) await w.pass(HOUR)
    const [bad = ''] = [kidOf((await clientCredentials(server)).json().access_token)]
    for (const watcher of watchers) watcher.clearCache()
    await w.verify()

    await revokeKey(server.deps.keys, bad, { actor: 'operator:test' })
    await server.poll()
    t.notOk((await published(server)).includes(bad), 'it is removed at once')
    const before = watchers.map((watcher) => watcher.fetches)
    for (let n = 0; n < 5; n += 1) {
      const { access_token: token } = (await clientCredentials(server)).json()
      t.not(kidOf(token), bad)
      for (const watcher of watchers) t.equal(await watcher.refusalReason(issued(token)), undefined)
    }
    t.same(
      watchers.map((watcher) => watcher.fetches),
      before,
      'no verifier had to fetch',
    )
    const jwks = await server.inject({ url: '/.well-known/jwks.json' })
    t.equal(jwks.headers['cache-control'], 'no-cache', 'and a verifier that fetches gets the new key')
  },
)

t.test(
  'a year with KEY_ROTATION=30d creates twelve keys, at most three at a time, and causes no failure (OpenID Connect Core §10.1.1; docs/security.md H92)',
  async (t) => {
    const w = await world(t, { KEY_ROTATION: '30d' })
    const { server } = w
    const signers = new Set<string>()
    let maxKeys = 0
    for (let hour = 0; hour < 365 * 24; hour += 4) {
      await w.wait(4 * HOUR)
      // One of them restarts now and then, which shifts the times of its fetches.
      if (hour % 7 === 0) w.watchers[hour % 20]?.clearCache()
      if (hour % 12 !== 0) continue
      await w.issue()
      await w.verify()
      const kids = await published(server)
      maxKeys = Math.max(maxKeys, kids.length)
      signers.add(kidOf((await clientCredentials(server)).json().access_token))
    }
    t.same(w.failures, [])
    t.equal(signers.size, 13, 'the first key and twelve more')
    t.equal(maxKeys, 3)
    const states = (await server.store.ring.read())?.keys.map((key) => key.state) ?? []
    t.equal(states.filter((state) => state === 'active').length, 1)
    t.equal(server.logger.audits('keys.rotated').length, 12)
  },
)

t.test(
  'with hourly rotation requested the server rotates every VERIFIER_CACHE, never before it is safe (OpenID Connect Core §10.1.1; docs/security.md H92)',
  async (t) => {
    const w = await world(t, { KEY_ROTATION: '1h' })
    const { server } = w
    for (let hour = 0; hour < 10 * 24; hour += 1) await w.pass(HOUR)
    t.same(w.failures, [])
    const rotations = server.logger.audits('keys.rotated').length
    t.equal(rotations, 10, 'one as soon as it is due, then one as soon as it is safe')
    t.ok((await published(server)).length <= 4, 'retiring keys are removed as fast as new ones come')
  },
)
