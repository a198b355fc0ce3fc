import { signCompact } from '../../../src/keys/sign-compact.ts'
import { claimsOf } from './requests.ts'
import type { TestServer } from './server.ts'

/**
 * The given token with other claims or another `typ`, validly signed with the server’s own key. No client can make it;
 * it shows that a verifier’s other checks work on their own.
 */
export async function resigned(
  server: Pick<TestServer, 'deps'>,
  token: string,
  claims: Record<string, unknown>,
  typ = 'at+jwt',
): Promise<string> {
  const payload = { ...claimsOf(token), ...claims }
  const key = await server.deps.signing.ring.signingKey(Number(claimsOf(token).exp))
  return signCompact(key, typ, JSON.stringify(payload))
}
