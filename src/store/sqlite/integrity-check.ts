/** Checks the integrity of a database when a server starts: before it serves or, for a large file, while it serves. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type Database from 'better-sqlite3'
import { programFile } from '../../package-files.ts'
import { StoreDamaged } from '../db.ts'

/** A file of this size is checked in less than a tenth of a second. */
export const LARGE_BYTES = 67_108_864

/** @throws {Error} with SQLite's description and code of the damage */
export function checkIntegrity(db: Database.Database): void {
  assertIntact(String(db.pragma('quick_check(1)', { simple: true })))
  // Drops the checked pages from the cache, because requests will need other pages.
  db.pragma('shrink_memory')
}

export interface IntegrityCheck {
  /** Rejects with {@link StoreDamaged} if damage was found. A check that could not run has found nothing. */
  readonly done: Promise<void>
  stop(): void
}

export function startIntegrityCheck(file: string): IntegrityCheck {
  const path = fileURLToPath(programFile('store/sqlite/integrity-check-process'))
  let stop = () => {}
  const done = new Promise<void>((resolve, reject) => {
    const child = execFile(process.execPath, [path, file], { env: {} }, (error, stdout, stderr) => {
      try {
        if (!error) assertIntact(stdout)
        else if (/malformed|not a database/.test(stderr)) assertIntact(stderr)
        resolve()
      } catch (damage) {
        reject(new StoreDamaged(damage))
      }
    })
    stop = () => child.kill('SIGKILL')
  })
  return { done, stop }
}

function assertIntact(output: string): void {
  if (output === 'ok') return
  const message = `database disk image is malformed (${output.trim().split('\n').at(-1)})`
  throw Object.assign(new Error(message), { code: 'SQLITE_CORRUPT' })
}
