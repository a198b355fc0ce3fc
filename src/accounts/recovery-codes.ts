/**
 * Codes on paper, for whoever lost the phone. Each has sixty random bits, so no word list helps and no slow hash
 * is needed; the digest is keyed, and the key is not in the store, so a stolen database does not even say
 * whether a guess is right; guesses at our door are throttled. Must not know where digests are kept.
 */
import { createHmac, createSecretKey } from 'node:crypto'
import { deriveKey } from '../keys/seal.ts'
import type { Random } from '../system.ts'

export const CODES_IN_A_SET = 10

/** Crockford's: no letter that looks like a digit, and no U to spell with. 32, so a byte's low bits are fair. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const LENGTH = 12
const GROUP = 4

export interface RecoveryCodesDeps {
  readonly masterKey: Uint8Array
  readonly random: Pick<Random, 'bytes'>
}

export interface RecoveryCodes {
  /** As they are shown, once: `7K2M-9QXA-0FRT`. */
  make(): string[]
  /** What the store keeps; null if it is written as no code is. */
  digest(userId: string, entered: string): string | null
}

export function createRecoveryCodes({ masterKey, random }: RecoveryCodesDeps): RecoveryCodes {
  const key = createSecretKey(deriveKey(masterKey, 'keyturn/recovery-codes/v1'))

  function makeOne(): string {
    const letters = [...random.bytes(LENGTH)].map((byte) => ALPHABET[byte % ALPHABET.length])
    const groups = Array.from({ length: LENGTH / GROUP }, (_, i) => letters.slice(i * GROUP, (i + 1) * GROUP))
    return groups.map((group) => group.join('')).join('-')
  }

  return {
    make: () => Array.from({ length: CODES_IN_A_SET }, makeOne),

    digest(userId, entered) {
      const code = readCode(entered)
      return code === null ? null : createHmac('sha256', key).update(`${userId}.${code}`).digest('base64url')
    },
  }
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
