/** The options about DPoP proofs: their meaning, their defaults, and the checks that refuse unusable ones. */
import { createNonces, type NonceSecret, type NonceSource } from './nonces.ts'
import type { ClaimProof } from './replay-memory.ts'
import { type AlgorithmName, isAlgorithmName } from './signature-algorithms.ts'
import { refuseUnknown } from './unknown-options.ts'

export interface DpopOptions {
  /** Accepted signature algorithms of proofs. Default: all that this package knows except RS256, RS384 and RS512. */
  readonly algorithms?: readonly AlgorithmName[]
  /** How old a proof may be, in seconds, besides `leeway`. Default: 60; at most 300. */
  readonly maxAge?: number
  /** How many proofs are remembered in this process. Default: 200,000, in at most 25 MB. */
  readonly maxProofs?: number
  /**
   * Remembers proofs for all processes of a service, in place of the memory of this process. It must be atomic: of several calls with one
   * key, one gets true, such as with Redis's `SET key 1 NX EXAT until`. If it fails or does not answer within `timeoutMs`, the request is
   * refused with 503.
   */
  readonly claim?: ClaimProof
  /** Requires a nonce of this service in every proof (RFC 9449 §9). Default: none. */
  readonly nonces?: NonceSecret | NonceSource
}

export interface ResolvedDpop {
  readonly algorithms: readonly AlgorithmName[]
  readonly maxAge: number
  readonly maxProofs: number
  readonly claim: ClaimProof | undefined
  readonly nonces: NonceSource | undefined
}

const OPTIONS: Readonly<Record<keyof DpopOptions, true>> = {
  algorithms: true,
  maxAge: true,
  maxProofs: true,
  claim: true,
  nonces: true,
}

/** In the order of the challenge (RFC 9449 §7.1). No client needs RSASSA-PKCS1-v1_5 for a key that it makes for DPoP, and FAPI 2.0 §5.4.1 forbids it. */
const PROOF_ALGORITHMS: readonly AlgorithmName[] = [
  'ES256',
  'EdDSA',
  'Ed25519',
  'PS256',
  'ES384',
  'ES512',
  'PS384',
  'PS512',
]
const MAX_AGE = 300
const MIN_SECRET_BYTES = 32

/** Fills in the defaults. @throws {TypeError} if an option is unusable or unsafe */
export function resolveDpop(options: DpopOptions, clock: () => number): ResolvedDpop {
  refuseUnknown('dpop', options, Object.keys(OPTIONS))
  const { algorithms = PROOF_ALGORITHMS, maxAge = 60, maxProofs = 200_000, claim, nonces } = options
  const unknown = algorithms.find((one) => !isAlgorithmName(one))
  assert(unknown === undefined, `dpop.algorithms: ${unknown} is not a supported signature algorithm`)
  assert(algorithms.length > 0, 'dpop.algorithms must name at least one')
  assert(maxAge > 0 && maxAge <= MAX_AGE, `dpop.maxAge must be from 1 to ${MAX_AGE} seconds`)
  assert(
    Number.isSafeInteger(maxProofs) && maxProofs > 0,
    'dpop.maxProofs must be a whole number, at least 1',
  )
  assert(claim === undefined || typeof claim === 'function', 'dpop.claim must be a function')
  return { algorithms, maxAge, maxProofs, claim, nonces: nonces && nonceSource(nonces, clock) }
}

function nonceSource(nonces: NonceSecret | NonceSource, clock: () => number): NonceSource {
  if (!('secret' in nonces)) {
    const complete = typeof nonces.current === 'function' && typeof nonces.accepts === 'function'
    assert(complete, 'dpop.nonces must have a secret, or the functions current and accepts')
    return nonces
  }
  refuseUnknown('dpop.nonces', nonces, ['secret', 'lifetime'])
  const { secret, lifetime } = nonces
  const isSecret = typeof secret === 'string' || secret instanceof Uint8Array
  assert(
    isSecret && Buffer.byteLength(secret) >= MIN_SECRET_BYTES,
    `dpop.nonces.secret must have at least ${MIN_SECRET_BYTES} bytes`,
  )
  assert(lifetime === undefined || lifetime >= 1, 'dpop.nonces.lifetime must be at least 1 second')
  return createNonces(nonces, clock)
}

function assert(condition: boolean, message: string): void {
  if (!condition) throw new TypeError(message)
}
