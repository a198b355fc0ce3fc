/**
 * Which new passwords are accepted (NIST SP 800-63B §3.1.1.2): long enough, not one of the most common, and not made of the user's
 * name; there are no rules about kinds of characters. Applies to every password that a user or an administrator sets.
 */
import type { User } from '../store/contracts/users.ts'
import { MAX_PASSWORD_LENGTH, passwordLength, preparePassword } from './password.ts'

export type PasswordProblem = 'short' | 'long' | 'invisible' | 'common' | 'personal'

/** Whose password it will be. */
export type PasswordOwner = Pick<User, 'username' | 'name' | 'givenName' | 'familyName' | 'email'>

export interface PasswordRules {
  readonly minLength: number
  /** null if the password is accepted. */
  problemOf(password: string, owner: PasswordOwner): Promise<PasswordProblem | null>
}

export interface PasswordRulesConfig {
  readonly minPasswordLength: number
  readonly brandName: string
}

/** A shorter word, such as an initial, may be in any password by accident. */
const MIN_WORD_LENGTH = 3

const canonical = (text: string): string => text.normalize('NFKC').toLowerCase()

export function createPasswordRules({ minPasswordLength, brandName }: PasswordRulesConfig): PasswordRules {
  return {
    minLength: minPasswordLength,
    async problemOf(password, { username, name, givenName, familyName, email }) {
      const prepared = preparePassword(password)
      if (prepared === null) return password.length > MAX_PASSWORD_LENGTH ? 'long' : 'invisible'
      if (passwordLength(prepared) < minPasswordLength) return 'short'
      const text = canonical(prepared)
      if ((await commonPasswords()).has(text)) return 'common'
      const words = [username, name, givenName, familyName, email, brandName].flatMap((value) => [
        canonical(value ?? ''),
        ...canonical(value ?? '').split(/[^\p{L}\p{N}]+/u),
      ])
      return passwordLength(withoutWords(text, words)) < minPasswordLength ? 'personal' : null
    },
  }
}

/** Words that an attacker tries first do not count towards the length. Longer words first, because they contain others. */
function withoutWords(text: string, words: readonly string[]): string {
  const known = words.filter((word) => word.length >= MIN_WORD_LENGTH)
  return known.sort((a, b) => b.length - a.length).reduce((rest, word) => rest.replaceAll(word, ''), text)
}

let loaded: Promise<ReadonlySet<string>> | undefined

/** Loaded when the first password is set, because most processes set none and the list takes several megabytes of memory. */
function commonPasswords(): Promise<ReadonlySet<string>> {
  loaded ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) => new Set<string>(dictionary['passwords-common']),
  )
  return loaded
}
