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
  { generateKey }: Pick<Deps, 'generateKey'>,
  alg: AlgorithmName,
  bits: number = DEFAULT_BITS,
): Promise<LanePairs> {
  const [active, next] = await Promise.all([generateKey(alg, bits), generateKey(alg, bits)])
  return { active, next }
}

/** @param algorithms the first one is the default */
export function generateLanes(
  deps: Pick<Deps, 'generateKey'>,
  [first, ...others]: readonly AlgorithmName[],
  bits?: number,
): Promise<LanePairs[]> {
  return Promise.all([first ?? DEFAULT_ALGORITHM, ...others].map((alg) => generateLane(deps, alg, bits)))
}

/** The keys of a first ring, which are generated while the store is being opened. */
export interface FirstLanes {
  /** Returns them once, and `undefined` afterwards: a private key must not stay in memory where no one erases it. */
  take(): Promise<LanePairs[]> | undefined
}

export function beginFirstLanes(...wanted: Parameters<typeof generateLanes>): FirstLanes {
  let begun: Promise<LanePairs[]> | undefined = generateLanes(...wanted)
  // Thrown where they are taken. The start may be refused before that, for a reason that is reported instead.
  begun.catch(() => {})
  return {
    take() {
      const taken = begun
      begun = undefined
      return taken
    },
  }
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
