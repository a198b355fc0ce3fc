/** `login` and `logout` without the terminal: tokens are got and kept, revoked and deleted. */
import * as oidc from 'openid-client'
import { COMMAND_LINE_CLIENT } from '../../admin/built-ins.ts'
import type { Io } from '../io.ts'
import { asking, discover, type Registration } from './authorization-server.ts'
import { type BrowserSignIn, signInWithBrowser } from './browser-sign-in.ts'
import { withLock } from './file-lock.ts'
import { type SessionFile, type StoredSession, sessionFile } from './session-file.ts'
import { adminScopesOf, machineTokens, stored } from './token-requests.ts'

export interface SignIn extends BrowserSignIn {
  readonly server: string
  /** Where the administration API is, if not at the issuer URL. */
  readonly api: string | undefined
  /** Without it, a person signs in with a browser. */
  readonly machine: Required<Registration> | undefined
}

export interface SignedIn {
  readonly session: StoredSession
  readonly scopes: readonly string[]
  /** The id of the user; null for a machine. */
  readonly user: string | null
}

/** @throws {ServerUnreachable | SignInFailed} */
export async function signIn(io: Io, { server, api, machine, ...browser }: SignIn): Promise<SignedIn> {
  const registration = machine ?? { client_id: COMMAND_LINE_CLIENT }
  const configuration = await discover(server, registration, io)
  const { issuer } = configuration.serverMetadata()
  const tokens = machine
    ? await asking(server, () => machineTokens(configuration))
    : await signInWithBrowser(configuration, server, browser)
  const user = tokens.claims()?.sub ?? null
  const session = {
    issuer,
    ...(api === undefined ? {} : { api }),
    ...registration,
    ...stored(tokens, io.clock),
  }
  try {
    const scopes = adminScopesOf(tokens, server)
    const file = sessionFile(io.env, server)
    // An earlier session that nothing refers to any more would stay usable for days.
    await withLock(file.lock, io, async () => {
      const earlier = readOrNull(file)
      await file.write(session)
      if (earlier) await revoke(earlier, io).catch(() => {})
    })
    return { session, scopes, user }
  } catch (error) {
    await revoke(session, io).catch(() => {})
    throw error
  }
}

/**
 * Deletes what is kept here in any case, and then revokes it at the server.
 * @returns whether there was anything
 * @throws {ServerUnreachable | SignInFailed} if it could not be revoked
 */
export async function signOut(io: Io, server: string): Promise<boolean> {
  const file = sessionFile(io.env, server)
  if (!file.exists()) return false
  const session = await withLock(file.lock, io, async () => {
    const read = readOrNull(file)
    file.delete()
    return read
  })
  if (session) await revoke(session, io)
  return true
}

/** Revoking a refresh token ends the session with all its access tokens (RFC 7009 §2.1). */
async function revoke(session: StoredSession, io: Io): Promise<void> {
  const { issuer, refresh_token: refreshToken, access_token: accessToken } = session
  const configuration = await discover(issuer, session, io)
  await asking(issuer, () => oidc.tokenRevocation(configuration, refreshToken ?? accessToken))
}

function readOrNull(file: SessionFile): StoredSession | null {
  try {
    return file.read()
  } catch {
    return null
  }
}
