/** Checks the integrity of a database when a server starts: before it serves or, for a large file, while it serves. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type Database from 'better-sqlite3'
import { StoreDamaged } from '../db.ts'

/** A file of this size is checked in less than a tenth of a second. */
export const LARGE_BYTES = 67_108_864

/** @throws {Error} that says what is wrong, with SQLite's code for damage */
export function checkIntegrity(db: Database.Database): void {
  assertIntact(String(db.pragma('quick_check(1)', { simple: true })))
  // The cache is full of the pages that were checked, which are not those that requests will need.
  db.pragma('shrink_memory')
}

export interface IntegrityCheck {
  /** Rejects with {@link StoreDamaged} if damage was found. A check that could not run has found nothing. */
  readonly done: Promise<void>
  stop(): void
}

export function startIntegrityCheck(file: string): IntegrityCheck {
  const program = import.meta.url.endsWith('.ts')
    ? './integrity-check-process.ts'
    : './integrity-check-process.js'
  const path = fileURLToPath(new URL(program, import.meta.url))
  let stop = () => {}
  const done = new Promise<void>((resolve, reject) => {
    const child = execFile(process.execPath, [path, file], { env: {} }, (error, found, said) => {
      try {
        if (!error) assertIntact(found)
        else if (/malformed|not a database/.test(said)) assertIntact(said)
        resolve()
      } catch (damage) {
        reject(new StoreDamaged(damage))
      }
    })
    stop = () => child.kill('SIGKILL')
  })
  return { done, stop }
}

function assertIntact(found: string): void {
  if (found === 'ok') return
  const message = `database disk image is malformed (${found.trim().split('\n').at(-1)})`
  throw Object.assign(new Error(message), { code: 'SQLITE_CORRUPT' })
}
