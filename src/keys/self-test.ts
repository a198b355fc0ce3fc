import { compactVerify } from 'jose/jws/compact/verify'
import { importJWK } from 'jose/key/import'
import { KeyturnError } from '../errors.ts'
import type { RingKey } from '../store/contracts/ring.ts'
import { importPrivateKey, isAlgorithm } from './algorithms.ts'
import type { MasterKeys } from './master-keys.ts'
import { type SigningKey, signCompact } from './sign-compact.ts'

/** The private key in the store does not belong to the public key beside it. */
class KeyMismatch extends KeyturnError<'key_mismatch'> {
  constructor(kid: string, cause?: unknown) {
    super('key_mismatch', `the private key and the public key ${kid} do not belong together`, { cause })
  }
}

/**
 * Imports the private key of a ring key. It signs and verifies once before it is used, so that every issued token verifies
 * with the JWKS.
 * @param pem the private key
 * @throws {KeyMismatch}
 */
export async function importAndTest({ kid, alg, publicJwk }: RingKey, pem: string): Promise<SigningKey> {
  try {
    if (!isAlgorithm(alg)) throw new Error(`${alg} is not a supported algorithm`)
    const signing = { kid, alg, sign: importPrivateKey(alg, pem) }
    const jws = await signCompact(signing, 'JWT', kid)
    await compactVerify(jws, await importJWK({ ...publicJwk }, alg), { algorithms: [alg] })
    return signing
  } catch (error) {
    throw new KeyMismatch(kid, error)
  }
}

/** @throws {DecryptionError | KeyMismatch} */
export async function decryptAndTest(
  key: RingKey,
  { privateKeys }: Pick<MasterKeys, 'privateKeys'>,
): Promise<SigningKey> {
  return importAndTest(key, privateKeys.decrypt(key.kid, key.encryptedPrivateKey ?? ''))
}
