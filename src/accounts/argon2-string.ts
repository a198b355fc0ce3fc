/** The text of an argon2id hash, `$argon2id$v=19$m=19456,p=1,t=2$<salt>$<hash>`. Must not know how hashes are computed. */

/** What a hash is computed from, besides the password (RFC 9106 §3.1). */
export interface Argon2Parameters {
  readonly salt: Uint8Array
  /** KiB. */
  readonly memory: number
  readonly passes: number
  readonly lanes: number
  /** Bytes of the hash. */
  readonly length: number
}

interface Argon2Hash extends Argon2Parameters {
  readonly hash: Uint8Array
}

/** Three parameters, in any order. */
const HASH = /^\$argon2id\$v=19\$([mtp]=\d+,[mtp]=\d+,[mtp]=\d+)\$([\w+/-]+)\$([\w+/-]+)$/

/** null for a hash of another kind or version, or with other parameters, such as associated data. */
export function parseHash(text: string): Argon2Hash | null {
  const [, list = '', encodedSalt = '', encodedHash = ''] = HASH.exec(text) ?? []
  const parameters = new Map(list.split(',').map((part) => [part[0], Number(part.slice(2))]))
  const [memory, passes, lanes] = [parameters.get('m'), parameters.get('t'), parameters.get('p')]
  if (!memory || !passes || !lanes) return null
  const hash = Buffer.from(encodedHash, 'base64')
  return { memory, passes, lanes, length: hash.length, salt: Buffer.from(encodedSalt, 'base64'), hash }
}

export function formatHash({ memory, passes, lanes, salt, hash }: Argon2Hash): string {
  return `$argon2id$v=19$m=${memory},p=${lanes},t=${passes}$${encode(salt)}$${encode(hash)}`
}

const encode = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replaceAll('=', '')
