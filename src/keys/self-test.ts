import { compactVerify, importJWK } from 'jose'
import { KeyturnError } from '../errors.ts'
import type { RingKey } from '../store/contracts/ring.ts'
import { importPrivateKey, isAlgorithm } from './algorithms.ts'
import type { Sealer } from './encryption.ts'
import { type SigningKey, signCompact } from './sign-compact.ts'

/** The private half in the store does not belong to the public half beside it. */
class KeyMismatch extends KeyturnError<'key_mismatch'> {
  constructor(kid: string, cause?: unknown) {
    super('key_mismatch', `the private and the public half of key ${kid} do not belong together`, { cause })
  }
}

/**
 * The private half that belongs to a key of the ring. Signs and verifies once, before it signs for others: no token may leave
 * that the JWKS does not verify.
 * @param pem its private half as it is believed to be
 * @throws {KeyMismatch}
 */
export async function importTested({ kid, alg, publicJwk }: RingKey, pem: string): Promise<SigningKey> {
  try {
    if (!isAlgorithm(alg)) throw new Error(`${alg} is no algorithm of ours`)
    const signing = { kid, alg, sign: importPrivateKey(alg, pem) }
    const jws = await signCompact(signing, 'JWT', kid)
    await compactVerify(jws, await importJWK({ ...publicJwk }, alg), { algorithms: [alg] })
    return signing
  } catch (error) {
    throw new KeyMismatch(kid, error)
  }
}

/** @throws {SealBroken} | {KeyMismatch} */
export async function openTested(key: RingKey, sealer: Pick<Sealer, 'open'>): Promise<SigningKey> {
  return importTested(key, sealer.open(key.kid, key.sealed ?? ''))
}
