/** A set whose members are counted by group, such as open connections by IP prefix. Must not know what the members are. */
export interface GroupedSet<T> extends Iterable<T> {
  readonly size: number
  add(group: string, member: T): void
  delete(group: string, member: T): void
  count(group: string): number
  /** The members of a group, the oldest first. */
  of(group: string): Iterable<T>
  /** The group with the most members. */
  largest(): string | null
}

export function createGroupedSet<T>(): GroupedSet<T> {
  const groups = new Map<string, Set<T>>()
  let size = 0
  return {
    get size() {
      return size
    },

    add(group, member) {
      const members = groups.get(group) ?? new Set()
      if (members.has(member)) return
      groups.set(group, members.add(member))
      size += 1
    },

    delete(group, member) {
      const members = groups.get(group)
      if (!members?.delete(member)) return
      if (members.size === 0) groups.delete(group)
      size -= 1
    },

    *[Symbol.iterator]() {
      for (const members of groups.values()) yield* members
    },

    count: (group) => groups.get(group)?.size ?? 0,
    of: (group) => groups.get(group) ?? [],

    largest() {
      let largest: string | null = null
      let most = 0
      for (const [group, { size }] of groups) {
        if (size > most) {
          most = size
          largest = group
        }
      }
      return largest
    },
  }
}
