/** The last keys that were fetched, in a file: for a start while the issuer is away. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'

export interface KeysFile {
  /** What it holds; undefined if there is nothing of use in it. */
  read(): unknown
  /** Not being able to keep it is no failure. */
  write(jwks: object): Promise<void>
}

/** A JWK Set with one member more, `issuer`. One that somebody put there may come without. */
export function keysFile(file: string, issuer: string): KeysFile {
  return {
    read() {
      try {
        const kept = JSON.parse(readFileSync(file, 'utf8')) as { issuer?: unknown } | null
        // Two services that were given the same file must not get each other's issuer's keys.
        return kept?.issuer === undefined || kept.issuer === issuer ? kept : undefined
      } catch {
        return undefined
      }
    },

    async write(jwks) {
      // Complete before it has its name: a start must not find half a file.
      const draft = `${file}.${randomBytes(6).toString('hex')}`
      try {
        await writeFile(draft, JSON.stringify({ ...jwks, issuer }), { mode: 0o600 })
        await rename(draft, file)
      } catch {
        await rm(draft, { force: true }).catch(() => {})
      }
    },
  }
}
