/** RFC 7636, S256 only: `plain` gives no protection if an attacker can read the authorization request. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Client, PkcePolicy } from '../store/contracts/clients.ts'

export const CODE_CHALLENGE_METHODS = ['S256'] as const

/**
 * OAuth 2.1 §7.5.1: a public client must use PKCE. A confidential client may rely on the `nonce` of an ID token instead, unless it
 * is registered with `required`.
 */
export function pkcePolicyOf({ authMethod, pkce }: Pick<Client, 'authMethod' | 'pkce'>): PkcePolicy {
  return authMethod === 'none' ? 'required' : (pkce ?? 'optional')
}

/**
 * Whether the client may have a code without PKCE. It then relies on the nonce, and so on an ID token, for which it needs the scope
 * `openid`.
 */
export const mayOmitPkce = (client: Pick<Client, 'authMethod' | 'pkce' | 'scopes'>): boolean =>
  pkcePolicyOf(client) === 'optional' && client.scopes.includes('openid')

/** RFC 7636 §4.2: a SHA-256 hash in base64url has 43 characters, the last of which carries four bits. */
const CHALLENGE = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/
/** RFC 7636 §4.1. */
const VERIFIER = /^[A-Za-z0-9\-._~]{43,128}$/

export const isCodeChallenge = (text: string): boolean => CHALLENGE.test(text)

export const isCodeVerifier = (text: string): boolean => VERIFIER.test(text)

/** RFC 7636 §4.6. */
export function matchesChallenge(verifier: string, challenge: string): boolean {
  const computed = Buffer.from(createHash('sha256').update(verifier).digest('base64url'))
  const expected = Buffer.from(challenge)
  return computed.length === expected.length && timingSafeEqual(computed, expected)
}
