import type { Admin } from '../../admin/admin.ts'
import { createRemoteAdmin } from '../../admin/remote.ts'
import type { Io } from '../io.ts'
import { sessionFile } from './session-file.ts'

/** @param server as `serverUrl` returns it. @throws {NotSignedIn} */
export function openRemoteAdmin({ env, fetch }: Pick<Io, 'env' | 'fetch'>, server: string): Admin {
  const session = sessionFile(env, server).read()
  return createRemoteAdmin({
    server: session.issuer,
    accessToken: async () => session.access_token,
    ...(fetch ? { fetch } : {}),
  })
}
