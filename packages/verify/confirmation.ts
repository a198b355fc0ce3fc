/** The claim `cnf` of a token (RFC 7800): the key and the certificate whose possession its sender must prove. */
import { VerifyError } from './errors.ts'

export interface Confirmation {
  /** The thumbprint of the key that signs the DPoP proofs (RFC 9449 §6.1). */
  readonly jkt?: string
  /** The thumbprint of the client's certificate (RFC 8705 §3.1). */
  readonly 'x5t#S256'?: string
}

const MEMBERS: readonly string[] = ['jkt', 'x5t#S256'] satisfies readonly (keyof Confirmation)[]

/** A SHA-256 hash in base64url has 43 characters. */
const isHash = (value: unknown): boolean => typeof value === 'string' && /^[\w-]{43}$/.test(value)

/**
 * Reads `cnf`. A member that this verifier cannot check, such as `jwk` or `kid`, makes the token unusable: if the member were ignored,
 * anyone could use the token.
 * @throws {VerifyError} unsupported_binding
 */
export function readConfirmation(cnf: unknown): Confirmation {
  if (typeof cnf !== 'object' || cnf === null || Array.isArray(cnf)) throw unsupported('is not an object')
  const members = Object.entries(cnf)
  if (members.length === 0) throw unsupported('is empty')
  for (const [name, value] of members) {
    if (!MEMBERS.includes(name)) throw unsupported('has a member that this service cannot check')
    if (!isHash(value)) throw unsupported(`has a member ${name} that is not a SHA-256 thumbprint`)
  }
  return cnf
}

function unsupported(what: string): VerifyError {
  return new VerifyError('unsupported_binding', `the claim cnf ${what}`)
}
