/**
 * Recovery codes for users who have lost their phone. A code has sixty random bits, so no word list contains it and a fast hash is
 * enough. The digest is keyed with a key that is not in the store, so a stolen database cannot be used to check guesses. Guesses
 * at the server are rate-limited. Must not know where digests are stored.
 */
import { createHmac } from 'node:crypto'
import type { DataKey, DataKeys } from '../keys/data-keys.ts'
import type { Random } from '../system.ts'

export const CODES_IN_A_SET = 10

/** Crockford's base 32: no letter that looks like a digit, and no U. With 32 letters, `byte % 32` is uniformly distributed. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const LENGTH = 12
const GROUP = 4

export interface RecoveryCodesDeps {
  readonly dataKeys: Pick<DataKeys, 'current' | 'valid'>
  readonly random: Pick<Random, 'bytes'>
}

export interface RecoveryCodes {
  /** A new set, in the form in which it is shown once: `7K2M-9QXA-0FRT`. */
  create(): string[]
  /** What the store keeps of a new set: the digests and the number of their data key. */
  digests(
    userId: string,
    codes: readonly string[],
  ): { readonly hashes: readonly string[]; readonly dataKey: number }
  /**
   * The digest of a code that a user entered.
   * @param dataKey number of the data key that the user's set was made with
   * @returns null if the text does not have the form of a code, or the data key is no longer valid
   */
  digest(userId: string, entered: string, dataKey: number): string | null
}

export function createRecoveryCodes({ dataKeys, random }: RecoveryCodesDeps): RecoveryCodes {
  function createCode(): string {
    const letters = [...random.bytes(LENGTH)].map((byte) => ALPHABET[byte % ALPHABET.length])
    const groups = Array.from({ length: LENGTH / GROUP }, (_, i) => letters.slice(i * GROUP, (i + 1) * GROUP))
    return groups.map((group) => group.join('')).join('-')
  }

  return {
    create: () => Array.from({ length: CODES_IN_A_SET }, createCode),

    digests(userId, codes) {
      const dataKey = dataKeys.current()
      const parsed = codes.flatMap((code) => parseCode(code) ?? [])
      return { hashes: parsed.map((code) => digestOf(dataKey, userId, code)), dataKey: dataKey.number }
    },

    digest(userId, entered, number) {
      const code = parseCode(entered)
      const dataKey = dataKeys.valid().find((candidate) => candidate.number === number)
      return code === null || !dataKey ? null : digestOf(dataKey, userId, code)
    },
  }
}

function digestOf(dataKey: DataKey, userId: string, code: string): string {
  const key = dataKey.key('keyturn/recovery-codes/v1')
  return createHmac('sha256', key).update(`${userId}.${code}`).digest('base64url')
}

/** Accepts any case, spaces and dashes, O for 0, and I and L for 1. null if the text is not a code. */
function parseCode(entered: string): string | null {
  const code = entered
    .normalize('NFKC')
    .toUpperCase()
    .replaceAll(/[\s\p{Pd}]/gu, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1')
  return code.length === LENGTH && [...code].every((letter) => ALPHABET.includes(letter)) ? code : null
}
