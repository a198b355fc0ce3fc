/** The last fetched keys in a file, so that a service can start while the issuer is down. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'

export interface KeysFile {
  /** Returns the JWK Set; undefined if the file is missing, unreadable or belongs to another issuer. */
  read(): unknown
  /** Never rejects: a service works without the file. */
  write(jwks: object): Promise<void>
}

/** The file has a JWK Set with a further member, `issuer`, which a file written by an operator may leave out. */
export function keysFile(file: string, issuer: string): KeysFile {
  return {
    read() {
      try {
        const jwks = JSON.parse(readFileSync(file, 'utf8')) as { issuer?: unknown } | null
        // Two services with the same file must not accept the keys of each other's issuer.
        return jwks?.issuer === undefined || jwks.issuer === issuer ? jwks : undefined
      } catch {
        return undefined
      }
    },

    async write(jwks) {
      // Renamed when it is complete, so that a starting service never reads half a file.
      const temporary = `${file}.${randomBytes(6).toString('hex')}`
      try {
        await writeFile(temporary, JSON.stringify({ ...jwks, issuer }), { mode: 0o600 })
        await rename(temporary, file)
      } catch {
        await rm(temporary, { force: true }).catch(() => {})
      }
    },
  }
}
