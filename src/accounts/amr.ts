/**
 * How somebody signed in, as tokens say it: `amr` (RFC 8176) and the `acr` it amounts to. Pure; must not know how
 * anything was proven.
 */

/** Something that was proven at a sign-in. */
export type Proof =
  | { readonly kind: 'password' }
  | { readonly kind: 'totp' }
  | { readonly kind: 'recovery' }
  | { readonly kind: 'passkey'; readonly userVerified: boolean; readonly backedUp: boolean }

export const ACR_PASSWORD = 'urn:keyturn:acr:password'
export const ACR_MFA = 'urn:keyturn:acr:mfa'
/** OpenID EAP ACR Values §4: phishing-resistant. */
const ACR_PHISHING_RESISTANT = 'phr'

/** Strongest last, and what satisfies one satisfies all before it. */
export const ACR_VALUES = [ACR_PASSWORD, ACR_MFA, ACR_PHISHING_RESISTANT] as const
export type Acr = (typeof ACR_VALUES)[number]

/** RFC 8176 §2, sorted, each once. */
export function amrOf(proofs: readonly Proof[]): string[] {
  const amr = new Set(proofs.flatMap(methodsOf))
  const known = proofs.some(({ kind }) => kind === 'password')
  const had = proofs.some(({ kind }) => kind !== 'password')
  // Two of a kind, say an app and a recovery code, are one thing that somebody has.
  if (known && had) amr.add('mfa')
  return [...amr].sort()
}

function methodsOf(proof: Proof): string[] {
  switch (proof.kind) {
    case 'password':
      return ['pwd']
    case 'totp':
    case 'recovery':
      return ['otp']
    case 'passkey':
      // A passkey that checked who holds it (a fingerprint, a PIN) is two factors by itself.
      return [proof.backedUp ? 'swk' : 'hwk', ...(proof.userVerified ? ['user', 'mfa'] : [])]
  }
}

export function acrOf(amr: readonly string[]): Acr {
  if (amr.includes('hwk') || amr.includes('swk')) return ACR_PHISHING_RESISTANT
  return amr.includes('mfa') ? ACR_MFA : ACR_PASSWORD
}

/** Whether a sign-in is at least what was asked for; a value that is none of ours is never satisfied. */
export function satisfies(amr: readonly string[], acr: string): boolean {
  const wanted = (ACR_VALUES as readonly string[]).indexOf(acr)
  return wanted >= 0 && ACR_VALUES.indexOf(acrOf(amr)) >= wanted
}
