import type { Admin } from '../../admin/admin.ts'
import { createRemoteAdmin } from '../../admin/remote.ts'
import { systemRandom } from '../../system.ts'
import type { Io } from '../io.ts'
import { accessTokens } from './access-tokens.ts'
import { sessionFile } from './session-file.ts'

/** @param server its issuer URL. @throws {NotSignedIn | SignInFailed} */
export function openRemoteAdmin(io: Io, server: string): Admin {
  const file = sessionFile(io.env, server)
  const { issuer, api } = file.read()
  return createRemoteAdmin({
    server: api ?? issuer,
    accessToken: accessTokens(file, io),
    randomId: systemRandom.id,
    ...(io.fetch ? { fetch: io.fetch } : {}),
  })
}
