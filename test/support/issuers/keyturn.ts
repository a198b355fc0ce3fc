/** A running server on `http://localhost`, as developers run it, with clients of each kind. */
import { type CryptoKey, importPKCS8 } from 'jose'
import type { Test } from 'tap'
import type { User } from '../../../src/store/contracts/users.ts'
import { type Browser, openBrowser } from '../browser/browser.ts'
import { codeClient, seedUsers } from '../browser/sign-in.ts'
import { freePort } from '../server/free-port.ts'
import { overHttp } from '../server/http-inject.ts'
import { clientKey } from '../server/jws.ts'
import { listen } from '../server/listen.ts'
import type { TestServer, TestServerOptions } from '../server/server.ts'

export const SIGNED_OUT = 'https://app.test/signed-out'
export const PROFILE = { name: 'Alice Able', email: 'alice@example.test', emailVerified: true }

interface OpenidServer {
  readonly server: TestServer
  readonly issuer: string
  readonly alice: User
  /** The private key of `signer` and `jar`. */
  readonly key: { readonly key: CryptoKey; readonly kid: string }
  /** A new browser, over real HTTP. */
  browser(): Browser
}

/** When Alice’s profile was last changed, in seconds since 1970. */
const CHANGED_AT = 1_700_000_000

/**
 * In addition to `seedUsers`: `poster-app` (client_secret_post), `signer-app` (private_key_jwt), `jar` (must sign its
 * requests), `par` (must push them). SIGNED_OUT is a registered post-logout redirect URI of all of them.
 */
export async function openidServer(
  t: Test,
  { settings, ...options }: TestServerOptions = {},
): Promise<OpenidServer> {
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const { server } = await listen(t, { ...options, settings: { ISSUER: issuer, ...settings } }, port)
  const { alice } = await seedUsers(server.store)
  await server.store.users.update(alice.id, (one) => ({ ...one, ...PROFILE, updatedAt: CHANGED_AT }))
  const pair = clientKey('ES256')
  const pem = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const jwks = { keys: [pair.jwk] }
  for (const one of [
    codeClient({ id: 'poster-app', authMethod: 'client_secret_post' }),
    codeClient({ id: 'signer-app', authMethod: 'private_key_jwt', jwks }),
    codeClient({ id: 'jar', jwks, requireSignedRequests: true }),
    codeClient({ id: 'par', requirePushedRequests: true }),
  ]) {
    await server.store.clients.insert(one)
  }
  for (const one of await server.store.clients.page(null, 1000)) {
    await server.store.clients.update(one.id, () => ({ ...one, postLogoutRedirectUris: [SIGNED_OUT] }))
  }
  await server.poll()
  const key = { key: await importPKCS8(pem, 'ES256'), kid: pair.kid }
  return { server, issuer, alice, key, browser: () => openBrowser(overHttp(issuer)) }
}
