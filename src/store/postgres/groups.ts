/**
 * What arrives while a statement of its kind is under way waits for it, unless it is overdue, and then shares the next statement with the
 * others that wait: one for many costs much less than one for each. What comes alone is sent in the same turn of the event loop. Must not
 * know what is grouped.
 */
import { StoreUnavailable } from '../db.ts'

/**
 * Milliseconds after which others no longer wait for a statement. It is more than a statement takes on a near server with a fast disk, and
 * so short that others hardly notice a distant server, or one statement that is held up.
 */
const OVERDUE_MS = 10
/** The largest group. Sizes are powers of two, so that few statements are prepared. */
export const MAX_GROUP = 32

export interface Kind<Item, Answer extends NonNullable<unknown>> {
  /**
   * Carries out a group, of one or more, and waits for no other transaction. The answers are in the order of the items; an item without
   * one is then carried out alone. If it rejects, it does so for all.
   */
  readonly together: (items: readonly Item[]) => Promise<readonly (Answer | undefined)[]>
  /** May wait for others, so that no group waits for it. */
  readonly alone: (item: Item) => Promise<Answer>
  /** How many groups are carried out at once. There is more than one only if they take long. */
  readonly maxTogether: number
  /** How many items are carried out alone at once. Each can keep a connection for long, and groups need some too. */
  readonly maxAlone: number
  /** How many items may wait for a group, and how many to be carried out alone. */
  readonly maxWaiting: number
  /** Milliseconds after which an item is refused if it has not begun: its group, or after that the item alone. */
  readonly patience: number
}

interface Waiting<Item, Answer> {
  readonly item: Item
  /** Milliseconds of a clock that only goes forward. */
  readonly since: number
  readonly resolve: (answer: Answer | Promise<Answer>) => void
  readonly reject: (error: unknown) => void
}

export interface Groups<Item, Answer> {
  /** @throws {StoreUnavailable} if too many wait, or the item has waited for too long */
  carryOut(item: Item): Promise<Answer>
}

export function createGroups<Item, Answer extends NonNullable<unknown>>(
  kind: Kind<Item, Answer>,
): Groups<Item, Answer> {
  const { together, alone, maxTogether, maxAlone, maxWaiting, patience } = kind
  const waiting: Waiting<Item, Answer>[] = []
  /** To be carried out alone. Those who came first are first, although groups can end in another order than they began. */
  const leftOut: Waiting<Item, Answer>[] = []
  let underWay = 0
  /** Of those under way. */
  let overdue = 0
  let isGathering = false
  let aloneUnderWay = 0
  let timer: NodeJS.Timeout | undefined

  /** Refuses items that have waited for too long, and looks again when the next one will have. */
  function watchPatience(): void {
    const now = performance.now()
    clearTimeout(timer)
    timer = undefined
    for (const queue of [waiting, leftOut]) {
      while (queue[0] && now - queue[0].since >= patience) queue.shift()?.reject(tooBusy('too long'))
    }
    const since = Math.min(waiting[0]?.since ?? Infinity, leftOut[0]?.since ?? Infinity)
    if (since < Infinity) timer = setTimeout(watchPatience, Math.ceil(since + patience - now)).unref()
  }

  function leaveOut(one: Waiting<Item, Answer>): void {
    const before = leftOut.findLastIndex(({ since }) => since <= one.since)
    leftOut.splice(before + 1, 0, one)
  }

  /**
   * Begins the next group, unless `maxTogether` are under way, or one that is not overdue. What the event loop has received but not yet
   * handled belongs to it: clients that were answered together often send their next requests together.
   */
  function gather(): void {
    if (isGathering || underWay > overdue || underWay >= maxTogether) return
    isGathering = true
    setImmediate(() => {
      isGathering = false
      if (waiting.length > 0) void carryOutGroup(waiting.splice(0, largestGroup(waiting.length)))
    })
  }

  async function carryOutGroup(group: readonly Waiting<Item, Answer>[]): Promise<void> {
    underWay += 1
    let isOverdue = false
    const watch = setTimeout(() => {
      isOverdue = true
      overdue += 1
      gather()
    }, OVERDUE_MS).unref()
    try {
      const answers = await together(group.map(({ item }) => item))
      for (const [i, one] of group.entries()) {
        const answer = answers[i]
        if (answer !== undefined) one.resolve(answer)
        else if (leftOut.length < maxWaiting) leaveOut(one)
        else one.reject(tooBusy('too many requests'))
      }
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
    clearTimeout(watch)
    underWay -= 1
    if (isOverdue) overdue -= 1
    gather()
    if (leftOut.length > 0) watchPatience()
    carryOutLeftOut()
  }

  function carryOutLeftOut(): void {
    while (aloneUnderWay < maxAlone) {
      const next = leftOut.shift()
      if (!next) return
      aloneUnderWay += 1
      const end = () => {
        aloneUnderWay -= 1
        carryOutLeftOut()
      }
      next.resolve(alone(next.item).finally(end))
    }
  }

  return {
    async carryOut(item) {
      if (waiting.length >= maxWaiting) throw tooBusy('too many requests')
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      waiting.push({ item, since: performance.now(), resolve, reject })
      gather()
      if (!timer) watchPatience()
      return promise
    },
  }
}

const tooBusy = (what: string) => new StoreUnavailable(new Error(`${what} waiting for other statements`))

const largestGroup = (waiting: number): number => Math.min(MAX_GROUP, 2 ** Math.floor(Math.log2(waiting)))
