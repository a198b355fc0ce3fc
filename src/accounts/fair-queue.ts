/**
 * A bounded queue that is shared fairly among groups, such as the IP prefixes of requests: groups are served in turn, and if the
 * queue is full, the newest member of the longest group makes room for a new member. So no group can fill the queue. Must not
 * know what waits.
 */

export interface FairQueue<T> {
  /**
   * Returns the member that was not added or was removed: `member` itself, or the newest member of the longest group. null if the
   * queue had room.
   */
  push(group: string, member: T): T | null
  /** Removes and returns the oldest member of the group whose turn it is. */
  shift(): T | undefined
  readonly size: number
}

export function createFairQueue<T>(capacity: number): FairQueue<T> {
  // The order of the map is the order in which the groups are served.
  const groups = new Map<string, T[]>()
  let size = 0

  function longestGroup(): [string, T[]] | undefined {
    let found: [string, T[]] | undefined
    for (const entry of groups) if (entry[1].length > (found?.[1].length ?? 0)) found = entry
    return found
  }

  /** Removes the newest member of the longest group, unless the new member's group would then be the longer one. */
  function makeRoom(group: string): T | null {
    const [largest, members] = longestGroup() ?? ['', []]
    if (members.length < (groups.get(group)?.length ?? 0) + 2) return null
    const removed = members.pop() ?? null
    if (members.length === 0) groups.delete(largest)
    size -= 1
    return removed
  }

  return {
    push(group, member) {
      let removed: T | null = null
      if (size >= capacity) {
        removed = makeRoom(group)
        if (removed === null) return member
      }
      const members = groups.get(group)
      if (members) members.push(member)
      else groups.set(group, [member])
      size += 1
      return removed
    },

    shift() {
      const [entry] = groups
      if (!entry) return undefined
      const [group, members] = entry
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
