/**
 * The model of the key ring’s property test: one database file, two serving nodes and an administrator on separate
 * connections, really signed tokens, cached JWKS documents, and an API that chooses the lane of its tokens.
 */
import { createLocalJWKSet, jwtVerify } from 'jose'
import type { AlgorithmName } from '../../src/algorithm-names.ts'
import type { AuditEvent, AuditFields } from '../../src/audit/events.ts'
import {
  addLane,
  assertLaneSafe,
  LaneInUse,
  LaneUnsafe,
  removeLane,
  setDefaultLane,
} from '../../src/keys/change-lanes.ts'
import { type LiveRing, openLiveRing } from '../../src/keys/live-ring.ts'
import * as ringRules from '../../src/keys/ring.ts'
import {
  ensureRing,
  LaneNotFound,
  maintainRing,
  RotationUnsafe,
  revokeKey,
  rotateRing,
} from '../../src/keys/rotate.ts'
import { createSigner, type Signer } from '../../src/keys/signer.ts'
import type { Ring, RingKey } from '../../src/store/contracts/ring.ts'
import type { Store } from '../../src/store/index.ts'
import type { Clock, EpochSeconds, Seconds } from '../../src/system.ts'
import { testClock } from '../support/server/clock.ts'
import { openStore, ringDeps } from '../support/server/keys.ts'
import { api, ORDERS } from '../support/server/seed.ts'

/** How long a node may sign without polling (keys/live-ring). */
const LEASE: Seconds = 10

/** Quick to generate. */
export const LANES = ['ES256', 'EdDSA'] as const satisfies AlgorithmName[]
type LaneName = (typeof LANES)[number]

export interface Settings {
  /** The lanes of the new ring. */
  readonly lanes: readonly LaneName[]
  readonly policy: ringRules.RingPolicy
  /** How wrong the clock of each node is. */
  readonly clockErrors: readonly [Seconds, Seconds]
}

export type Action =
  | { readonly do: 'tick'; readonly seconds: Seconds }
  /** In the default lane, or in that of the API. */
  | { readonly do: 'sign'; readonly node: 0 | 1; readonly lifetime: Seconds; readonly as: 'default' | 'api' }
  | { readonly do: 'fetch'; readonly node: 0 | 1 }
  | { readonly do: 'follow'; readonly node: 0 | 1 }
  | { readonly do: 'maintain'; readonly node: 0 | 1 }
  | { readonly do: 'restart'; readonly node: 0 | 1; readonly cleanly: boolean }
  | { readonly do: 'rotate'; readonly force: boolean; readonly lane: LaneName | null }
  | { readonly do: 'revoke'; readonly which: 'active' | 'next' | 'retiring'; readonly lane: LaneName }
  | { readonly do: 'add' | 'default' | 'remove'; readonly lane: LaneName }
  /** The API chooses the lane of its tokens; null is the default lane. */
  | { readonly do: 'choose'; readonly lane: LaneName | null }
  /** All at once; actions that advance the time do nothing here. */
  | { readonly do: 'together'; readonly actions: readonly Action[] }

interface Node {
  readonly clock: Clock
  store: Store
  live: LiveRing
  signer: Signer
}

interface Token {
  readonly jwt: string
  readonly kid: string
  readonly exp: EpochSeconds
}

export async function openWorld(file: string, { lanes, policy, clockErrors }: Settings) {
  const time = testClock(1_700_000_000)
  /** Different clocks disagree about when something happened or is due. */
  const slack = Math.max(...clockErrors, 0) - Math.min(...clockErrors, 0)
  const opened: Store[] = []
  /** Connections of stopped nodes, closed when their pending work has ended, as a server does. */
  let leaving: Store[] = []
  const tokens: Token[] = []
  /** Until when a cache may serve a JWKS that was fetched since the last unscheduled change. */
  let cachedUntil: EpochSeconds[] = []
  /** The JWKS documents that verifiers have fetched, each for as long as a verifier may use it. */
  let cached: { readonly kids: ReadonlySet<string>; readonly usedUntil: EpochSeconds }[] = []
  /** Keys that sign because an administrator forced a rotation or revoked a key, so a verifier may lack them. */
  const excused = new Set<string>()
  /** The algorithm of every key that there ever was. */
  const algs = new Map<string, string>()
  /** When each revoked key was removed. */
  const revokedAt = new Map<string, EpochSeconds>()
  /** Keys that became active by a rotation that claimed to be safe. */
  const safelyActive = new Set<string>()
  const wrong: string[] = []

  const adminStore = await open()
  const administrator = ringDeps(adminStore, time, { policy, audit: onUnscheduledChange })
  await ensureRing(administrator, { algorithms: lanes })
  await adminStore.apis.insert(api())
  const nodes = [await start(clockErrors[0]), await start(clockErrors[1])] as const

  async function open(): Promise<Store> {
    const store = await openStore(file)
    opened.push(store)
    return store
  }

  async function start(error: Seconds): Promise<Node> {
    const clock = { now: () => time.now() + error }
    const store = await open()
    const live = await openLiveRing({ ...ringDeps(store, clock, { policy }), store }, await readFrom(store))
    return { clock, store, live, signer: createSigner(live, 'i') }
  }

  async function readFrom(store: Store): Promise<Ring> {
    const ring = await store.ring.read()
    if (!ring) throw new Error('there is no ring')
    return ring
  }

  const read = () => readFrom(adminStore)

  async function act(action: Action): Promise<void> {
    switch (action.do) {
      case 'tick':
        time.tick(action.seconds)
        return
      case 'sign':
        return sign(nodes[action.node], action.lifetime, action.as)
      case 'fetch':
        return fetchJwks(nodes[action.node])
      case 'follow':
        return nodes[action.node].live.sync()
      case 'maintain':
        return maintain(nodes[action.node])
      case 'restart':
        return restart(nodes[action.node], action.cleanly)
      case 'rotate':
        return rotate(action.force, action.lane)
      case 'revoke':
        return revoke(action.which, action.lane)
      case 'add':
        await addLane(administrator, action.lane, { actor: 'me' })
        return
      case 'default':
        return setDefault(action.lane)
      case 'remove':
        return remove(action.lane)
      case 'choose':
        return choose(action.lane)
      case 'together':
        await Promise.all(
          action.actions.filter(({ do: what }) => what !== 'tick' && what !== 'remove').map(act),
        )
    }
  }

  async function sign(node: Node, lifetime: Seconds, as: 'default' | 'api'): Promise<void> {
    const now = node.clock.now()
    const exp = now + lifetime
    const claims = { iss: 'i', sub: 's', aud: 'a', iat: now, exp }
    // The node knows the API as it is now, although it may not know the ring as it is now.
    const chosen = as === 'api' ? ((await adminStore.apis.find(ORDERS))?.signingAlg ?? undefined) : undefined
    const jwt = await node.signer.sign('at+jwt', claims, chosen)
    const { kid, alg } = JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()) as {
      kid: string
      alg: string
    }
    tokens.push({ jwt, kid, exp })

    const key = (await read()).keys.find((one) => one.kid === kid)
    if (!key) throw new Error('signed with a key that the store does not have')
    if (key.alg !== alg) throw new Error(`signed ${alg} with a key for ${key.alg}`)
    if (chosen !== undefined && alg !== chosen)
      throw new Error(`signed ${alg} for an API that has chosen ${chosen}`)
    if (!excused.has(kid)) assertHeld(kid, 'signs')
    const notYetSeen = key.state === 'revoked' && time.now() - (revokedAt.get(kid) ?? 0) <= LEASE
    if (!ringRules.isPublished(key) && !notYetSeen) throw new Error(`signed with a ${key.state} key`)
    if (key.state === 'next') throw new Error('signed with the next key')
    if (!notYetSeen && !(await node.signer.verify(jwt, { typ: 'at+jwt', issuer: 'i', now }))) {
      throw new Error('the node that signed it does not verify it')
    }
  }

  /** No verifier may have a cached JWKS without the key. Different clocks disagree about how long it has been published. */
  function assertHeld(kid: string, does: string): void {
    cached = cached.filter(({ usedUntil }) => time.now() < usedUntil - slack)
    if (cached.some(({ kids }) => !kids.has(kid))) throw new Error(`a key ${does} that a verifier may lack`)
  }

  async function fetchJwks(node: Node): Promise<void> {
    const { cacheControl, body } = node.live.jwks()
    const ring = await read()
    if (node.live.ring().version !== ring.version) return
    const maxAge = Number(/max-age=(\d+)/.exec(cacheControl)?.[1] ?? 0)
    const change = nextChangeOf(ring)
    const left = change === null ? Number.POSITIVE_INFINITY : Math.max(0, change - node.clock.now())
    if (maxAge > left) throw new Error(`max-age=${maxAge}, but the JWKS changes in ${left} s`)
    if (maxAge > policy.jwksMaxAge) throw new Error('max-age is more than the setting allows')
    cachedUntil.push(time.now() + maxAge)
    const { keys } = JSON.parse(body) as { keys: { kid: string }[] }
    cached.push({ kids: new Set(keys.map(({ kid }) => kid)), usedUntil: time.now() + policy.verifierCache })
  }

  /** Recomputed here, not by the code under test. */
  function nextChangeOf(ring: Ring): EpochSeconds | null {
    const changes = ring.keys
      .filter((key) => key.state === 'retiring')
      .map((key) => Math.max(key.tokensUntil, key.stoppedAt ?? 0) + ringRules.SKEW)
    if (policy.keyRotation !== null) {
      for (const active of ring.keys.filter((key) => key.state === 'active')) {
        const next = ring.keys.find((key) => key.state === 'next' && key.alg === active.alg)
        const safe = next?.publishedIn === 1 ? 0 : (next?.publishedAt ?? 0) + policy.verifierCache
        changes.push(Math.max((active.signsFrom ?? 0) + policy.keyRotation, safe))
      }
    }
    return changes.length === 0 ? null : Math.min(...changes)
  }

  async function maintain(node: Node): Promise<void> {
    const deps = ringDeps(node.store, node.clock, { policy, audit: onScheduledChange })
    if (await maintainRing(deps, node.live.ring())) await node.live.sync()
  }

  /** A node did what was due. */
  function onScheduledChange(event: AuditEvent, { kid = '' }: AuditFields): void {
    if (event === 'keys.rotated') safelyActive.add(kid)
    const longest = Math.max(0, ...cachedUntil) - time.now()
    if (longest > slack) wrong.push(`a cache outlives ${event} by ${longest} s`)
  }

  /** The administrator made an unscheduled change. */
  function onUnscheduledChange(event: AuditEvent, { kid = '', reason }: AuditFields): void {
    if (event === 'keys.rotated') (reason === 'forced' ? excused : safelyActive).add(kid)
    cachedUntil = []
  }

  async function restart(node: Node, cleanly: boolean): Promise<void> {
    const { store } = node
    // A killed node leaves its connection, and the database’s write-ahead log, as they are.
    node.store = await open()
    node.live = await openLiveRing(
      { ...ringDeps(node.store, node.clock, { policy }), store: node.store },
      await readFrom(node.store),
    )
    node.signer = createSigner(node.live, 'i')
    if (cleanly) leaving.push(store)
  }

  async function rotate(force: boolean, lane: LaneName | null): Promise<void> {
    // Recorded before: another node may sign with a key at the moment at which it becomes active.
    if (force) for (const key of (await read()).keys) if (key.state === 'next') excused.add(key.kid)
    const chosen = lane === null ? {} : { lanes: [lane] }
    await rotateRing(administrator, { actor: 'me', force, ...chosen }).catch((error) => {
      if (!(error instanceof RotationUnsafe || error instanceof LaneNotFound)) throw error
    })
  }

  const refused = (error: unknown): void => {
    const expected = [LaneUnsafe, LaneNotFound, LaneInUse].some((kind) => error instanceof kind)
    if (!expected) throw error
  }

  /** What an administrator may do with a lane is never what a verifier may not be ready for, even if a key is excused. */
  async function setDefault(lane: LaneName): Promise<void> {
    const before = (await read()).defaultAlg
    const ring = await setDefaultLane(administrator, lane, { actor: 'me' }).catch(refused)
    if (ring && before !== lane) assertHeld(ringRules.activeKey(ring).kid, 'begins to sign as the default')
  }

  async function choose(lane: LaneName | null): Promise<void> {
    const [ring, before] = [await read(), await adminStore.apis.find(ORDERS)]
    if (lane !== null && before?.signingAlg !== lane) {
      const isSafe = await assertLaneSafe(administrator, ring, lane).then(() => true, refused)
      if (!isSafe) return
      assertHeld(ringRules.activeKey(ring, lane).kid, 'begins to sign for an API')
    }
    await adminStore.apis.update(ORDERS, (one) => ({ ...one, signingAlg: lane }))
  }

  async function remove(lane: LaneName): Promise<void> {
    const uses = [(await read()).defaultAlg, (await adminStore.apis.find(ORDERS))?.signingAlg]
    const ring = await removeLane(administrator, lane, { actor: 'me' }).catch(refused)
    if (ring && uses.includes(lane)) throw new Error('a lane was removed that is in use')
  }

  async function revoke(which: 'active' | 'next' | 'retiring', lane: LaneName): Promise<void> {
    const ring = await read()
    const key = ring.keys.find((one) => one.state === which && one.alg === lane)
    if (!key) return
    // The next key of the lane takes over, however long it has been published.
    for (const one of ring.keys) if (one.state === 'next') excused.add(one.kid)
    // Recorded before: a node that signs at this very moment may not know yet.
    revokedAt.set(key.kid, time.now())
    await revokeKey(administrator, key.kid, { actor: 'me' })
  }

  /** Checks what must hold at every instant; throws what does not. */
  async function check(): Promise<void> {
    if (wrong.length > 0) throw new Error(wrong.join('; '))
    const ring = await read()
    const published = new Set(ring.keys.filter(ringRules.isPublished).map((key) => key.kid))
    const signing = ring.keys.filter(({ state }) => state === 'active' || state === 'next')
    for (const lane of new Set([ring.defaultAlg, ...signing.map(({ alg }) => alg)])) {
      const states = signing.filter(({ alg }) => alg === lane).map(({ state }) => state)
      if (states.sort().join() !== 'active,next') throw new Error(`the lane ${lane} has ${states.join()}`)
    }
    const chosen = (await adminStore.apis.find(ORDERS))?.signingAlg ?? ring.defaultAlg
    if (!signing.some(({ alg }) => alg === chosen)) throw new Error('an API uses a lane that there is not')
    for (const { kid, alg } of ring.keys) {
      if ((algs.get(kid) ?? alg) !== alg) throw new Error('a key is used for two algorithms')
      algs.set(kid, alg)
    }
    for (const { kid, exp } of tokens) {
      if (time.now() > exp || revokedAt.has(kid) || published.has(kid)) continue
      throw new Error(`a token that lives for ${exp - time.now()} s has lost its key`)
    }
    for (const key of ring.keys) checkKey(key)
    for (const { live } of nodes) {
      if (live.ring().version === ring.version) checkServed(live, published)
    }
  }

  function checkServed(live: LiveRing, published: ReadonlySet<string>): void {
    const served = (JSON.parse(live.jwks().body) as { keys: { kid: string }[] }).keys
    const same = served.length === published.size && served.every((key) => published.has(key.kid))
    if (!same) throw new Error('a node that has heard of everything serves another JWKS')
  }

  function checkKey(key: RingKey): void {
    const signs = key.state === 'active' || key.state === 'next'
    if (!signs && key.encryptedPrivateKey !== null) throw new Error(`a ${key.state} key has a private key`)
    if (signs && key.encryptedPrivateKey === null) throw new Error(`a ${key.state} key has no private key`)
    if (safelyActive.has(key.kid) && key.publishedIn > 1) {
      const known = (key.signsFrom ?? 0) - key.publishedAt
      if (known < policy.verifierCache - slack)
        throw new Error(`a key signs ${known} s after its publication`)
    }
  }

  return {
    async act(action: Action): Promise<void> {
      await act(action)
      for (const store of leaving) await store.db.close()
      leaving = []
    },
    check,
    /** Verifies the signature of every live token with what each node serves after a poll. */
    async verifyAll(): Promise<number> {
      const alive = tokens.filter(({ kid, exp }) => time.now() < exp && !revokedAt.has(kid))
      for (const { live } of nodes) {
        await live.sync()
        const keys = createLocalJWKSet(JSON.parse(live.jwks().body))
        for (const { jwt } of alive) await jwtVerify(jwt, keys, { currentDate: new Date(time.now() * 1000) })
      }
      return alive.length
    },
    async close(): Promise<void> {
      for (const store of opened) await store.db.close()
    },
  }
}
