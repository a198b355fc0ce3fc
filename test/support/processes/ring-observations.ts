/**
 * What an outside observer sees of several nodes’ keys, and which rules it must not break. Each observation has two
 * moments: its request and its response. What a response shows was true at some moment in between, so "before" is
 * certain only where one response came before the other request was sent; nothing is concluded otherwise.
 */

/** Milliseconds on one clock for all observations. */
interface Seen {
  readonly node: number
  readonly requestedAt: number
  readonly receivedAt: number
}

/** A token that this node signed. */
export interface TokenSeen extends Seen {
  readonly kid: string
}

/** A JWKS that this node served. */
export interface JwksSeen extends Seen {
  readonly kids: ReadonlySet<string>
}

/** The store’s key ring, as `keys list` shows it. */
export interface RingSeen extends Omit<Seen, 'node'> {
  readonly active: readonly string[]
  readonly next: readonly string[]
}

export interface Observations {
  readonly nodes: number
  /** Every kid that has signed, in the order of the rotations. */
  readonly order: readonly string[]
  readonly tokens: readonly TokenSeen[]
  readonly sets: readonly JwksSeen[]
  readonly rings: readonly RingSeen[]
  /** How long after the first token of a new key another node may still sign with the old key. */
  readonly lagMs: number
}

/** The broken rules; empty if there are none. */
export function violations(seen: Observations): string[] {
  return [
    ...unpublished(seen),
    ...withdrawn(seen),
    ...signedWhileNext(seen),
    ...backwards(seen),
    ...counted(seen),
  ]
}

const shown = (kid: string) => kid.slice(0, 6)

/**
 * Before the first token of a key was requested, every node had responded with the key. A node that signs with a key
 * before the last node has published it is detected by the tokens it signs meanwhile.
 */
function unpublished({ nodes, order, tokens, sets }: Observations): string[] {
  const wrong: string[] = []
  for (const kid of new Set([...order, ...tokens.map((token) => token.kid)])) {
    const [first] = tokens.filter((token) => token.kid === kid).sort((a, b) => a.requestedAt - b.requestedAt)
    if (!first) continue
    for (let node = 0; node < nodes; node += 1) {
      const seenBefore = sets.some(
        (set) => set.node === node && set.receivedAt <= first.requestedAt && set.kids.has(kid),
      )
      if (!seenBefore)
        wrong.push(`${shown(kid)} signed at node ${first.node} before node ${node} was seen to have it`)
    }
  }
  return wrong
}

/** A node that was seen to publish a key has it in every later response; no key is removed meanwhile. */
function withdrawn({ nodes, sets }: Observations): string[] {
  const wrong: string[] = []
  for (let node = 0; node < nodes; node += 1) {
    const own = sets.filter((set) => set.node === node)
    for (const kid of new Set(own.flatMap((set) => [...set.kids]))) {
      const since = Math.min(...own.filter((set) => set.kids.has(kid)).map((set) => set.receivedAt))
      if (own.some((set) => set.requestedAt > since && !set.kids.has(kid))) {
        wrong.push(`node ${node} served a JWKS without ${shown(kid)} after one with it`)
      }
    }
  }
  return wrong
}

/** While the store still reported a key as next, no token was signed with it. */
function signedWhileNext({ tokens, rings }: Observations): string[] {
  const waiting = new Map<string, number>()
  for (const { next, requestedAt } of rings) for (const kid of next) waiting.set(kid, requestedAt)
  return tokens
    .filter(({ kid, receivedAt }) => receivedAt < (waiting.get(kid) ?? 0))
    .map(({ kid, node }) => `node ${node} signed with ${shown(kid)}, which was next`)
}

/**
 * Keys sign one after the other: a node that has signed with a key never signs with an older one again, and another
 * node does so for a moment only. Two keys that are both active somewhere are detected by the tokens of the older one.
 */
function backwards({ nodes, order, tokens, lagMs }: Observations): string[] {
  const wrong = tokens
    .filter(({ kid }) => !order.includes(kid))
    .map(({ kid, node }) => `node ${node} signed with ${shown(kid)}, which no rotation made active`)
  const everywhere = newerSince(order, tokens)
  const own = Array.from({ length: nodes }, (_, node) =>
    newerSince(
      order,
      tokens.filter((token) => token.node === node),
    ),
  )
  for (const { kid, node, requestedAt } of tokens) {
    const rank = order.indexOf(kid)
    const late = requestedAt - (everywhere[rank] ?? requestedAt)
    if (requestedAt > (own[node]?.[rank] ?? requestedAt))
      wrong.push(`node ${node} went back to ${shown(kid)}`)
    else if (late > lagMs)
      wrong.push(`node ${node} signed with ${shown(kid)} ${Math.round(late)} ms after a newer key was used`)
  }
  return wrong
}

/** By rank of a key: when the first token of any newer key arrived. */
function newerSince(order: readonly string[], tokens: readonly TokenSeen[]): number[] {
  return order.map((_, rank) =>
    tokens
      .filter(({ kid }) => order.indexOf(kid) > rank)
      .reduce((least, { receivedAt }) => Math.min(least, receivedAt), Number.POSITIVE_INFINITY),
  )
}

/** There is one active and one next key in every reading, and never an earlier one again. */
function counted({ order, rings }: Observations): string[] {
  const wrong: string[] = []
  let last = 0
  for (const { active, next } of rings) {
    if (active.length !== 1 || next.length !== 1) {
      wrong.push(`${active.length} active and ${next.length} next keys`)
      continue
    }
    const rank = order.indexOf(active[0] ?? '')
    if (rank < last) wrong.push(`${shown(active[0] ?? '')} was active after a later key`)
    last = Math.max(last, rank)
  }
  return wrong
}

/** The longest time that a node kept signing with a key after another was seen to sign with the next. */
export function maxLag({ order, tokens }: Observations): number {
  const newer = newerSince(order, tokens)
  const lags = tokens.map(({ kid, requestedAt }) => requestedAt - (newer[order.indexOf(kid)] ?? requestedAt))
  return Math.round(lags.reduce((most, lag) => Math.max(most, lag), 0))
}
