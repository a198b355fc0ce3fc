/**
 * Recovery codes on paper, for users who have lost their phone. Each has sixty random bits, so no word list helps and no slow
 * hash is needed. The digest is keyed and the key is not in the store, so a stolen database does not show whether a guess is
 * right. Guesses at the server are rate-limited. Must not know where digests are kept.
 */
import { createHmac } from 'node:crypto'
import type { DataKey, DataKeys } from '../keys/data-keys.ts'
import type { Random } from '../system.ts'

export const CODES_IN_A_SET = 10

/** Crockford's: no letter that looks like a digit, and no U to spell with. 32, so a byte's low bits are fair. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const LENGTH = 12
const GROUP = 4

export interface RecoveryCodesDeps {
  readonly dataKeys: Pick<DataKeys, 'current' | 'valid'>
  readonly random: Pick<Random, 'bytes'>
}

export interface RecoveryCodes {
  /** As they are shown, once: `7K2M-9QXA-0FRT`. */
  make(): string[]
  /** What the store keeps of a new set: digests, and the number of their data key. */
  digests(
    userId: string,
    codes: readonly string[],
  ): { readonly hashes: readonly string[]; readonly dataKey: number }
  /**
   * The digest of a code that a user entered.
   * @param dataKey number of the data key that the user's set was made with
   * @returns null if it is not written like a code, or the data key is no longer valid
   */
  digest(userId: string, entered: string, dataKey: number): string | null
}

export function createRecoveryCodes({ dataKeys, random }: RecoveryCodesDeps): RecoveryCodes {
  function makeOne(): string {
    const letters = [...random.bytes(LENGTH)].map((byte) => ALPHABET[byte % ALPHABET.length])
    const groups = Array.from({ length: LENGTH / GROUP }, (_, i) => letters.slice(i * GROUP, (i + 1) * GROUP))
    return groups.map((group) => group.join('')).join('-')
  }

  return {
    make: () => Array.from({ length: CODES_IN_A_SET }, makeOne),

    digests(userId, codes) {
      const dataKey = dataKeys.current()
      const read = codes.flatMap((code) => readCode(code) ?? [])
      return { hashes: read.map((code) => digestOf(dataKey, userId, code)), dataKey: dataKey.number }
    },

    digest(userId, entered, number) {
      const code = readCode(entered)
      const dataKey = dataKeys.valid().find((one) => one.number === number)
      return code === null || !dataKey ? null : digestOf(dataKey, userId, code)
    },
  }
}

function digestOf(dataKey: DataKey, userId: string, code: string): string {
  const key = dataKey.key('keyturn/recovery-codes/v1')
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
