/**
 * Codes on paper, for whoever lost the phone. Each has sixty random bits, so no word list helps and no slow hash
 * is needed; the digest is keyed, and the key is not in the store, so a stolen database does not even say
 * whether a guess is right; guesses at our door are throttled. Must not know where digests are kept.
 */
import { createHmac } from 'node:crypto'
import type { Root, Roots } from '../keys/data-keys.ts'
import type { Random } from '../system.ts'

export const CODES_IN_A_SET = 10

/** Crockford's: no letter that looks like a digit, and no U to spell with. 32, so a byte's low bits are fair. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const LENGTH = 12
const GROUP = 4

export interface RecoveryCodesDeps {
  readonly roots: Pick<Roots, 'writing' | 'accepted'>
  readonly random: Pick<Random, 'bytes'>
}

export interface RecoveryCodes {
  /** As they are shown, once: `7K2M-9QXA-0FRT`. */
  make(): string[]
  /** What the store keeps of a set that was just made. */
  digests(
    userId: string,
    codes: readonly string[],
  ): { readonly hashes: readonly string[]; readonly root: number }
  /** What the store may have of this code; nothing if it is written as no code is. */
  candidates(userId: string, entered: string): string[]
}

export function createRecoveryCodes({ roots, random }: RecoveryCodesDeps): RecoveryCodes {
  function makeOne(): string {
    const letters = [...random.bytes(LENGTH)].map((byte) => ALPHABET[byte % ALPHABET.length])
    const groups = Array.from({ length: LENGTH / GROUP }, (_, i) => letters.slice(i * GROUP, (i + 1) * GROUP))
    return groups.map((group) => group.join('')).join('-')
  }

  return {
    make: () => Array.from({ length: CODES_IN_A_SET }, makeOne),

    digests(userId, codes) {
      const root = roots.writing()
      const hashes = codes.flatMap((code) => readCode(code) ?? []).map((code) => digest(root, userId, code))
      return { hashes, root: root.number }
    },

    candidates(userId, entered) {
      const code = readCode(entered)
      return code === null ? [] : roots.accepted().map((root) => digest(root, userId, code))
    },
  }
}

function digest(root: Root, userId: string, code: string): string {
  const key = root.key('keyturn/recovery-codes/v1')
  return createHmac('sha256', key).update(`${userId}.${code}`).digest('base64url')
}

/** As somebody types what he reads: any case, any spaces and dashes, O for 0, I and L for 1. */
function readCode(entered: string): string | null {
  const code = entered
    .normalize('NFKC')
    .toUpperCase()
    .replaceAll(/[\s\p{Pd}]/gu, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1')
  return code.length === LENGTH && [...code].every((letter) => ALPHABET.includes(letter)) ? code : null
}
