/** Which algorithms may sign a DPoP proof. Not in proof.ts, because the metadata needs the list before the first proof arrives. */
import { constants, type SigningOptions } from 'node:crypto'

interface Algorithm {
  readonly kty: 'RSA' | 'EC' | 'OKP'
  /** null if the algorithm defines its own hash. */
  readonly hash: string | null
  readonly options: SigningOptions
}

const { RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST } = constants
const ED25519: Algorithm = { kty: 'OKP', hash: null, options: {} }

/**
 * RFC 9449 §4.2: asymmetric algorithms only, because the proof itself contains the key. No RS256: FAPI 2.0 §5.4.1 forbids it, and no
 * client needs it for keys that it makes for DPoP. `Ed25519` is the newer name of `EdDSA` (RFC 9864).
 */
export const algorithms: Readonly<Record<string, Algorithm>> = {
  ES256: { kty: 'EC', hash: 'sha256', options: { dsaEncoding: 'ieee-p1363' } },
  PS256: {
    kty: 'RSA',
    hash: 'sha256',
    options: { padding: RSA_PKCS1_PSS_PADDING, saltLength: RSA_PSS_SALTLEN_DIGEST },
  },
  EdDSA: ED25519,
  Ed25519: ED25519,
}

export const PROOF_ALGORITHMS: readonly string[] = Object.keys(algorithms)
