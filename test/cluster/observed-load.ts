/**
 * Load on a cluster and its observers: machine clients and users who ask all nodes for tokens, twenty verifiers with
 * their own caches, and a recorder of every token, every JWKS and every reading of the key ring.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose'
import { createVerifier, type Verifier } from '../../packages/verify/index.ts'
import type { Store } from '../../src/store/index.ts'
import type { Cluster, ClusterNode } from '../support/processes/cluster.ts'
import type { Owner } from '../support/processes/data-folder.ts'
import type { JwksSeen, RingSeen, TokenSeen } from '../support/processes/ring-observations.ts'
import { clientCredentials, kidOf, refresh } from '../support/server/requests.ts'
import { ORDERS } from '../support/server/seed.ts'
import { HANG_MS } from '../support/server/waiting.ts'

const JWKS = '/.well-known/jwks.json'
/**
 * How long a strict verifier caches its keys. Clocks of nodes may differ by a second (docs/rotation.md), so
 * VERIFIER_CACHE must be longer.
 */
const JWKS_CACHE_MS = 500
/** Of all twenty verifiers. */
const STRICT = 12

/** Records what it receives; no node is asked for a token before `begin`. */
export function watch(owner: Owner, cluster: Cluster, store: Store) {
  const tokens: TokenSeen[] = []
  const sets: JwksSeen[] = []
  const rings: RingSeen[] = []
  const failures: string[] = []
  /** The last token of each key, which the verifiers keep verifying. */
  const lastTokens = new Map<string, string>()
  const services: Verifier[] = []
  let verified = 0
  let fetches = 0
  let stop = false

  /** The fetch of a verifier; the response is recorded. */
  async function fetchFrom(n: number, path: string, init?: RequestInit): Promise<Response> {
    const node = n % cluster.nodes.length
    const requestedAt = performance.now()
    const response = await fetch(cluster.at(node).url + path, init)
    const text = await response.text()
    const receivedAt = performance.now()
    if (response.status === 200 && path === JWKS) {
      const { keys } = JSON.parse(text) as { keys: { kid: string }[] }
      sets.push({ node, requestedAt, receivedAt, kids: new Set(keys.map(({ kid }) => kid)) })
    }
    const { status, headers } = response
    return new Response(status === 304 ? null : text, { status, headers })
  }

  /** Caches its keys for as long as allowed, asks another node each time, and never refetches for an unknown kid. */
  function strict(n: number) {
    let turn = n
    const keys = createRemoteJWKSet(new URL(cluster.issuer + JWKS), {
      cacheMaxAge: JWKS_CACHE_MS,
      cooldownDuration: Number.POSITIVE_INFINITY,
      timeoutDuration: HANG_MS,
      [customFetch]: (_url, init) => {
        turn += 1
        fetches += 1
        return fetchFrom(turn, JWKS, init)
      },
    })
    return async (token: string): Promise<unknown> =>
      jwtVerify(token, keys, { issuer: cluster.issuer, audience: ORDERS, typ: 'at+jwt' })
  }

  /**
   * A verifier as a microservice uses it: it caches as the server says and refetches for an unknown kid. Half of them
   * also read the status lists, which the same keys sign, and refuse a token whose list they cannot verify.
   */
  function keyturnVerifier(n: number) {
    let turn = n
    const verifier = createVerifier({
      issuer: cluster.issuer,
      audience: ORDERS,
      cacheSize: 0,
      statusList: n % 2 === 0 && { onStale: 'reject' },
      timeoutMs: HANG_MS,
      fetch: (input, init) => {
        turn += 1
        fetches += 1
        return fetchFrom(turn, new URL(String(input)).pathname, init)
      },
    })
    owner.teardown(() => verifier.close())
    services.push(verifier)
    return async (token: string): Promise<unknown> => verifier.verify(token)
  }
  const verifiers = Array.from({ length: 20 }, (_, n) => (n < STRICT ? strict(n) : keyturnVerifier(n)))

  async function verifyAt(which: typeof verifiers, token: string): Promise<void> {
    await Promise.all(
      which.map(async (verify) => {
        verified += 1
        await verify(token).catch((error) => failures.push(`${kidOf(token).slice(0, 6)}: ${error}`))
      }),
    )
  }

  async function requestToken(n: number, ask: (node: ClusterNode) => ReturnType<ClusterNode['inject']>) {
    const node = n % cluster.nodes.length
    const requestedAt = performance.now()
    const answer = await ask(cluster.at(node))
    const receivedAt = performance.now()
    if (answer.statusCode !== 200) {
      failures.push(`${answer.statusCode} ${answer.body}`)
      return null
    }
    const response = answer.json() as { access_token: string; refresh_token: string }
    const kid = kidOf(response.access_token)
    tokens.push({ node, requestedAt, receivedAt, kid })
    lastTokens.set(kid, response.access_token)
    return response
  }

  const repeat = async (pause: number, work: (turn: number) => Promise<void>) => {
    for (let turn = 0; !stop; turn += 1) {
      await work(turn)
      await sleep(pause)
    }
  }

  /** A machine client that asks this node. A few verifiers see the token at once, the others in turns. */
  const machineClient = (node: number) =>
    repeat(60, async (turn) => {
      const response = await requestToken(node, clientCredentials)
      const some = verifiers.filter((_, n) => n % 5 === turn % 5)
      if (response) await verifyAt(some, response.access_token)
    })

  /** A user whose refreshes go to all nodes in turn. */
  const session = (first: string) => {
    let token = first
    return repeat(150, async (turn) => {
      const response = await requestToken(turn, (node) => refresh(node, token))
      if (!response) return
      token = response.refresh_token
      await verifyAt(verifiers, response.access_token)
    })
  }

  const reading = async () => {
    const requestedAt = performance.now()
    const ring = await store.ring.read()
    const receivedAt = performance.now()
    const kids = (state: string) =>
      (ring?.keys ?? []).filter((key) => key.state === state).map(({ kid }) => kid)
    rings.push({ requestedAt, receivedAt, active: kids('active'), next: kids('next') })
  }

  const observers = () => [
    ...cluster.nodes.map((_, node) => repeat(30, async () => void (await fetchFrom(node, JWKS)))),
    repeat(15, reading),
  ]
  const work: Promise<unknown>[] = observers()
  return {
    tokens,
    sets,
    rings,
    failures,
    counts: () => ({ verified, fetches }),
    async begin(sessions: readonly string[]): Promise<void> {
      // There is no list before the first token, and a verifier that cannot read the list refuses the token.
      await clientCredentials(cluster.at(0))
      await Promise.all(services.map((verifier) => verifier.ready()))
      work.push(
        ...cluster.nodes.flatMap((_, node) => [machineClient(node), machineClient(node)]),
        ...sessions.map(session),
      )
      // Earlier tokens are verified too.
      work.push(
        repeat(1000, async () => {
          for (const token of lastTokens.values()) await verifyAt(verifiers, token)
        }),
      )
    },
    async end(): Promise<void> {
      stop = true
      await Promise.allSettled(work)
      for (const token of lastTokens.values()) await verifyAt(verifiers, token)
    },
  }
}
