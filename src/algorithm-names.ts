/** The names of the algorithms that tokens can be signed with, as JOSE has them. What they mean is in keys/algorithms.ts. */

export const ALGORITHM_NAMES = [
  'RS256',
  'PS256',
  'ES256',
  'EdDSA',
  'RS384',
  'PS384',
  'ES384',
  'RS512',
  'PS512',
  'ES512',
] as const

export type AlgorithmName = (typeof ALGORITHM_NAMES)[number]

/** Ed25519 is the name of RFC 9864 §2.2 for the only curve of EdDSA that is used here. undefined if there is no such algorithm. */
export const algorithmNamed = (text: string): AlgorithmName | undefined =>
  text === 'Ed25519' ? 'EdDSA' : ALGORITHM_NAMES.find((name) => name === text)
