/**
 * How a user signed in, as tokens state it: `amr` (RFC 8176 §2) and the `acr` that follows from it. Pure. Must not know how a proof
 * is verified.
 */

/** A factor that the user has proven at sign-in. */
export type Proof =
  | { readonly kind: 'password' }
  | { readonly kind: 'totp' }
  | { readonly kind: 'recovery' }
  | { readonly kind: 'passkey'; readonly userVerified: boolean; readonly backedUp: boolean }

export const ACR_PASSWORD = 'urn:keyturn:acr:password'
export const ACR_MFA = 'urn:keyturn:acr:mfa'
/** Phishing-resistant (OpenID EAP ACR Values §4). */
export const ACR_PHISHING_RESISTANT = 'phr'

/** Weakest first. A sign-in that satisfies one value satisfies all values before it. */
export const ACR_VALUES = [ACR_PASSWORD, ACR_MFA, ACR_PHISHING_RESISTANT] as const
export type Acr = (typeof ACR_VALUES)[number]

/** The values of RFC 8176 §2, sorted and without duplicates. */
export function amrOf(proofs: readonly Proof[]): string[] {
  const amr = new Set(proofs.flatMap(methodsOf))
  const hasKnowledgeFactor = proofs.some(({ kind }) => kind === 'password')
  const hasPossessionFactor = proofs.some(({ kind }) => kind !== 'password')
  // Two proofs of possession, such as an app and a recovery code, are one factor.
  if (hasKnowledgeFactor && hasPossessionFactor) amr.add('mfa')
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
      // A passkey that verified the user (a fingerprint, a PIN) is two factors at once.
      return [proof.backedUp ? 'swk' : 'hwk', ...(proof.userVerified ? ['user', 'mfa'] : [])]
  }
}

export function acrOf(amr: readonly string[]): Acr {
  if (amr.includes('hwk') || amr.includes('swk')) return ACR_PHISHING_RESISTANT
  return amr.includes('mfa') ? ACR_MFA : ACR_PASSWORD
}

/** Whether a sign-in is at least as strong as the requested `acr`. An unknown value is never satisfied. */
export function satisfies(amr: readonly string[], acr: string): boolean {
  const required = (ACR_VALUES as readonly string[]).indexOf(acr)
  return required >= 0 && ACR_VALUES.indexOf(acrOf(amr)) >= required
}
