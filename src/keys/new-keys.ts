/** Generates keys for the ring, and encrypts them. Must not know what a key is for, or change the ring. */
import type { Ring } from '../store/contracts/ring.ts'
import {
  type AlgorithmName,
  bitsOf,
  DEFAULT_ALGORITHM,
  DEFAULT_BITS,
  type GenerateKey,
  isAlgorithm,
  type KeyPair,
} from './algorithms.ts'
import type { MasterKey, MasterKeys } from './master-keys.ts'
import { type NewKey, type NewLane, nextKey } from './ring.ts'

interface Deps {
  readonly generateKey: GenerateKey
  readonly masterKeys: MasterKeys
}

/** Generating is slow, so it comes before the ring is read that the keys are added to. */
export interface LanePairs {
  readonly active: KeyPair
  readonly next: KeyPair
}

export async function generateLane(
  { generateKey }: Deps,
  alg: AlgorithmName,
  bits: number = DEFAULT_BITS,
): Promise<LanePairs> {
  const [active, next] = await Promise.all([generateKey(alg, bits), generateKey(alg, bits)])
  return { active, next }
}

export const encryptLane = (deps: Deps, masterKey: MasterKey, { active, next }: LanePairs): NewLane => ({
  active: encryptPair(deps, masterKey, active),
  next: encryptPair(deps, masterKey, next),
})

/** A successor of the next key of a lane: of the same size, unless another one is given. */
export function generateSuccessor(
  { generateKey }: Deps,
  ring: Ring,
  lane: string,
  bits: number | undefined,
): Promise<KeyPair> {
  const next = nextKey(ring, lane)
  return generateKey(
    isAlgorithm(lane) ? lane : DEFAULT_ALGORITHM,
    bits ?? bitsOf(next.publicJwk) ?? DEFAULT_BITS,
  )
}

/** @param masterKey the master key of the ring that the key is added to; it may have changed since the key was generated */
export function encryptPair({ masterKeys }: Deps, masterKey: MasterKey, pair: KeyPair): NewKey {
  const { kid, alg, publicJwk, privatePem } = pair
  return {
    kid,
    alg,
    publicJwk,
    encryptedPrivateKey: masterKeys.privateKeys.encrypt(masterKey, kid, privatePem),
  }
}
