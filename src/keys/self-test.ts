import { CompactSign, type CryptoKey, compactVerify, importJWK } from 'jose'
import type { RingKey } from '../store/contracts/ring.ts'
import { importPrivateKey } from './algorithms.ts'
import type { Sealer } from './seal.ts'

/** The private half in the store does not belong to the public half beside it. */
export class KeyMismatch extends Error {
  constructor(kid: string, cause?: unknown) {
    super(`the private and the public half of key ${kid} do not belong together`, { cause })
    this.name = 'KeyMismatch'
  }
}

/** Signs and verifies once, before a key signs for others: no token may leave that the JWKS does not verify. */
export async function selfTest(key: RingKey, privateKey: CryptoKey): Promise<void> {
  const jws = await new CompactSign(Buffer.from(key.kid))
    .setProtectedHeader({ alg: key.alg })
    .sign(privateKey)
  try {
    await compactVerify(jws, await importJWK({ ...key.publicJwk }, key.alg), { algorithms: [key.alg] })
  } catch (error) {
    throw new KeyMismatch(key.kid, error)
  }
}

/** @throws {SealBroken} | {KeyMismatch} */
export async function openTested(key: RingKey, sealer: Pick<Sealer, 'open'>): Promise<CryptoKey> {
  const privateKey = await importPrivateKey(key.alg, sealer.open(key.kid, key.sealed ?? ''))
  await selfTest(key, privateKey)
  return privateKey
}
