/** A checksum of a set of rows. It does not depend on their order, because engines sort text differently. */
import { createHash } from 'node:crypto'

export type Row = Readonly<Record<string, string | number | null>>

export interface Checksum {
  add(row: Row): void
  /** The number of rows, and the sum of their hashes. */
  value(): { readonly rows: number; readonly checksum: string }
}

const MODULUS = 2n ** 128n

export function createChecksum(): Checksum {
  let rows = 0
  let sum = 0n
  return {
    add(row) {
      const named = Object.keys(row)
        .sort()
        .map((name) => [name, row[name]])
      const digest = createHash('sha256').update(JSON.stringify(named)).digest()
      sum += (digest.readBigUInt64BE(0) << 64n) | digest.readBigUInt64BE(8)
      rows += 1
    },
    value: () => ({ rows, checksum: (sum % MODULUS).toString(16).padStart(32, '0') }),
  }
}
