/**
 * A bounded queue that is shared fairly among groups, such as the IP prefixes of requests. Groups with a lower rank go first, and
 * groups of one rank are served in turn. If the queue is full, a new member takes the place of the newest member of the longest
 * group; the first member of a group can also take a place of a group with a higher rank. So no group can fill the queue. Must
 * not know what waits, or what the rank means.
 */

export interface FairQueue<T> {
  /** Returns the member that was not added or was removed: `member` itself, or another one. null if the queue had room. */
  push(group: string, member: T): T | null
  /** Removes and returns the oldest member of the group whose turn it is. */
  shift(): T | undefined
  readonly size: number
}

/** Every fourth turn does not look at the rank, so that groups with a low rank cannot block the others. */
const UNRANKED_TURN_INTERVAL = 4

/** @param rankOf called each time a rank is needed, because ranks change while members wait */
export function createFairQueue<T>(
  capacity: number,
  rankOf: (group: string) => number = () => 0,
): FairQueue<T> {
  // The order of the map is the order in which the groups are served.
  const groups = new Map<string, T[]>()
  let size = 0
  let turn = 0

  /** The first group for which no other group is better. */
  function best(isBetter: (one: string, other: string) => boolean): string | undefined {
    let found: string | undefined
    for (const group of groups.keys()) if (found === undefined || isBetter(group, found)) found = group
    return found
  }

  const length = (group: string | undefined): number => groups.get(group ?? '')?.length ?? 0

  /** The group whose newest member gives its place to a new member of `group`; undefined if no group should give a place. */
  function findVictim(group: string): string | undefined {
    if (length(group) === 0) {
      const last = best((one, other) => rankOf(one) > rankOf(other))
      if (last !== undefined && rankOf(last) > rankOf(group)) return last
    }
    const longest = best((one, other) => length(one) > length(other))
    return length(longest) >= length(group) + 2 ? longest : undefined
  }

  function removeNewest(group: string): T | null {
    const members = groups.get(group)
    const removed = members?.pop() ?? null
    if (members?.length === 0) groups.delete(group)
    if (removed !== null) size -= 1
    return removed
  }

  return {
    push(group, member) {
      let removed: T | null = null
      if (size >= capacity) {
        const victim = findVictim(group)
        if (victim === undefined) return member
        removed = removeNewest(victim)
      }
      const members = groups.get(group)
      if (members) members.push(member)
      else groups.set(group, [member])
      size += 1
      return removed
    },

    shift() {
      turn = (turn + 1) % UNRANKED_TURN_INTERVAL
      const group =
        turn === 0 ? groups.keys().next().value : best((one, other) => rankOf(one) < rankOf(other))
      if (group === undefined) return undefined
      const members = groups.get(group) ?? []
      const member = members.shift()
      groups.delete(group)
      if (members.length > 0) groups.set(group, members)
      size -= 1
      return member
    },

    get size() {
      return size
    },
  }
}
