/** Visible characters, separated by single spaces. */
const ALLOWED = /^[^\p{C}\p{Z}\p{DI}]+(?: [^\p{C}\p{Z}\p{DI}]+)*$/u
const MAX_USERNAME_LENGTH = 200

/**
 * The canonical form of a username, used for storage, look-up and rate limits. With different forms, an attacker could spread
 * guesses at one account over several rate limits. null if no account can have this name.
 */
export function normalizeUsername(name: string): string | null {
  // Length first: the time to normalize combining marks grows with the square of their number.
  if (name.length > 4 * MAX_USERNAME_LENGTH) return null
  // Normalized again after lower-casing, because some lower-case letters compose and their capitals do not: ǰ.
  const normal = name.normalize('NFKC').trim().toLowerCase().normalize('NFKC')
  return normal.length <= MAX_USERNAME_LENGTH && ALLOWED.test(normal) ? normal : null
}
