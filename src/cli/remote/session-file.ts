/**
 * What `login` keeps for each server: a file that only its owner can read, in a folder that only its owner can open. Must not know
 * how tokens are got.
 */
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { replaceAtomically } from '../../durable-file.ts'
import { exposedMessage, readSecretFile } from '../../secret-file.ts'
import type { EpochSeconds } from '../../system.ts'
import { NotSignedIn, SignInFailed } from './errors.ts'

export interface StoredSession {
  /** As the server writes it in its metadata. */
  readonly issuer: string
  /** Where the administration API is, if not at the issuer URL. */
  readonly api?: string
  readonly client_id: string
  /** Only for a machine. The secret stays in its own file, so that it can be replaced there. */
  readonly client_secret_file?: string
  /** Only for a person. */
  readonly refresh_token?: string
  readonly access_token: string
  readonly expires_at: EpochSeconds
}

export interface SessionFile {
  readonly path: string
  /** The lock of every command that changes the file. */
  readonly lock: string
  exists(): boolean
  /** @throws {NotSignedIn | SignInFailed} */
  read(): StoredSession
  write(session: StoredSession): Promise<void>
  delete(): void
}

/** @param server the issuer URL, with or without a slash at its end */
export function sessionFile(env: NodeJS.ProcessEnv, server: string): SessionFile {
  const folder = join(configFolder(env), 'keyturn')
  const path = join(folder, `${encodeURIComponent(server.replace(/\/$/, ''))}.json`)
  return {
    path,
    lock: `${path}.lock`,
    exists: () => existsSync(path),

    read() {
      if (!existsSync(path)) throw new NotSignedIn(server)
      const { text, exposed } = readSecretFile(path)
      if (exposed) throw new SignInFailed(exposedMessage(path))
      const session = parse(text)
      if (!session) throw new NotSignedIn(server, `${path} is damaged`)
      return session
    },

    async write(session) {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      chmodSync(folder, 0o700)
      await replaceAtomically(path, `${JSON.stringify(session, null, 2)}\n`)
    },

    delete: () => rmSync(path, { force: true }),
  }
}

/** null if the text is not a session. */
function parse(text: string): StoredSession | null {
  try {
    const session = JSON.parse(text) as StoredSession
    const { issuer, client_id: client, access_token: token, expires_at: end } = session
    const isComplete = [issuer, client, token].every((one) => typeof one === 'string')
    return isComplete && typeof end === 'number' ? session : null
  } catch {
    return null
  }
}

/** The base folder of the XDG specification, which says to ignore a relative one. */
function configFolder(env: NodeJS.ProcessEnv): string {
  const { XDG_CONFIG_HOME: folder = '', HOME, USERPROFILE } = env
  return isAbsolute(folder) ? folder : join(HOME ?? USERPROFILE ?? '/', '.config')
}
