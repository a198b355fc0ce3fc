/** The characters that pass: printable, and none that an eye cannot tell from nothing. */
const ALLOWED = /^[^\p{C}\p{Z}\p{DI}]+(?: [^\p{C}\p{Z}\p{DI}]+)*$/u
const MAX_USERNAME_LENGTH = 200

/**
 * One spelling of an account's name, for look-up, throttling and storage alike: two would let an attacker count
 * his failures under another name than he signs in with. null if it can be nobody's.
 */
export function normalizeUsername(name: string): string | null {
  // Again after lower-casing: J with a caron has no capital of its own, and would stay in two pieces.
  const normal = name.normalize('NFKC').trim().toLowerCase().normalize('NFKC')
  return normal.length <= MAX_USERNAME_LENGTH && ALLOWED.test(normal) ? normal : null
}
