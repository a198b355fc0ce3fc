/** A lock between commands of one machine. Must not know what it protects. */
import { mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createAtomically } from '../../durable-file.ts'
import { readText } from '../../text.ts'
import type { Io } from '../io.ts'
import { SignInFailed } from './errors.ts'

const RETRY_MS = 50
const MAX_ATTEMPTS = 1200

/**
 * Runs `work` while no other command holds the lock. The lock of a process that was killed is removed. Two commands that remove it at
 * the same moment may both go on, which a second refresh within the server's grace period makes harmless.
 * @throws {SignInFailed} if another command holds it for a minute
 */
export async function withLock<T>(
  path: string,
  { pid, isRunning }: Pick<Io, 'pid' | 'isRunning'>,
  work: () => Promise<T>,
): Promise<T> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  for (let attempt = 1; !take(path, pid); attempt += 1) {
    const holder = holderOf(path)
    if (holder !== null && !isRunning(holder)) rmSync(path, { force: true })
    else if (attempt < MAX_ATTEMPTS) await wait(RETRY_MS)
    else throw new SignInFailed(`another command holds ${path}: if none is running, delete the file`)
  }
  try {
    return await work()
  } finally {
    rmSync(path, { force: true })
  }
}

function take(path: string, pid: number): boolean {
  try {
    createAtomically(path, String(pid))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** null if the lock has been released meanwhile. */
function holderOf(path: string): number | null {
  try {
    return Number(readText(path))
  } catch {
    return null
  }
}
