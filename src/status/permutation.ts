/**
 * Position → index within a list. Tokens show their index, which must not reveal in which order or how many tokens were issued
 * (Token Status List §13.3). A Feistel network over 20 bits, whose round functions are tables drawn from a secret key, gives each
 * list a permutation that is identical on every node.
 */
import { createCipheriv, type KeyObject } from 'node:crypto'

const HALF_BITS = 10
const HALF = 2 ** HALF_BITS
const ROUNDS = 6

export type Permutation = (position: number) => number

/** @param key 32 bytes, used for nothing else */
export function createPermutation(key: KeyObject, list: number): Permutation {
  const rounds = roundTables(key, list)
  return (position) => {
    let left = Math.floor(position / HALF)
    let right = position % HALF
    for (const table of rounds) {
      const mixed = left ^ ((table[right] as number) & (HALF - 1))
      left = right
      right = mixed
    }
    return left * HALF + right
  }
}

/** The keystream of AES-256-CTR. Each list has its own counter block. */
function roundTables(key: KeyObject, list: number): Uint16Array[] {
  const counter = Buffer.alloc(16)
  counter.writeBigUInt64BE(BigInt(list))
  const zeros = Buffer.alloc(ROUNDS * HALF * 2)
  const stream = createCipheriv('aes-256-ctr', key, counter).update(zeros)
  const bytes = new Uint8Array(stream).buffer
  return Array.from({ length: ROUNDS }, (_, round) => new Uint16Array(bytes, round * HALF * 2, HALF))
}
