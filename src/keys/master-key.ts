/**
 * The files that contain master keys. Each file is created once, exclusively, and is never readable by others. A new key replaces
 * the current one only when the store is encrypted under it, and then the old key is kept.
 */
import { linkSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { masterKey as parse } from '../config/parsers.ts'
import { createAtomically, syncToDisk } from '../durable-file.ts'
import { KeyturnError } from '../errors.ts'
import { exposedMessage, readSecretFile } from '../secret-file.ts'
import type { Random } from '../system.ts'
import { InvalidText, whyUnreadable, withoutFinalNewline } from '../text.ts'

/** The master key is missing, damaged, unreadable or readable by others. The message says what to do. */
export class InvalidMasterKey extends KeyturnError<'invalid_master_key'> {
  constructor(message: string, cause?: unknown) {
    super('invalid_master_key', message, { cause })
  }
}

/** `next`: the key that the next rotation moves to. `old`: the key that the last rotation replaced. */
export type WhichKey = 'current' | 'next' | 'old'

const NAMES: Readonly<Record<WhichKey, string>> = {
  current: 'master.key',
  next: 'master.key.next',
  old: 'master.key.old',
}

export const MASTER_KEY_FILES: readonly WhichKey[] = ['current', 'next', 'old']

export function masterKeyFile(keysDir: string, which: WhichKey = 'current'): string {
  return join(keysDir, NAMES[which])
}

/** @returns null if there is no such file; @throws {InvalidMasterKey} if the file cannot be used */
export function readMasterKey(keysDir: string, which: WhichKey = 'current'): Buffer | null {
  const file = masterKeyFile(keysDir, which)
  let text: string
  try {
    // This is checked before the file is opened, because opening a pipe would wait for a writer.
    if (!statSync(file).isFile()) throw new InvalidMasterKey(`${file} is not a file`)
    const secret = readSecretFile(file)
    if (secret.exposed) throw new InvalidMasterKey(exposedMessage(file))
    text = secret.text
  } catch (error) {
    if (error instanceof InvalidMasterKey) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    if (error instanceof InvalidText) throw damaged(file, `; it ${error.message}`, error)
    throw new InvalidMasterKey(`${file} ${whyUnreadable(error)}`, error)
  }
  try {
    return parse(withoutFinalNewline(text))
  } catch {
    throw damaged(file)
  }
}

const damaged = (file: string, why = '', cause?: unknown): InvalidMasterKey =>
  new InvalidMasterKey(
    `${file} is damaged: it must contain 32 bytes in base64url; restore it from a backup${why}`,
    cause,
  )

/**
 * Creates a new master key with mode 0600. The file is complete before it gets its name, so neither a kill nor a second process
 * can leave half a key or replace a key. If another process was first, its key is returned.
 */
export function createMasterKey(
  keysDir: string,
  random: Pick<Random, 'bytes'>,
  which: WhichKey = 'current',
): Buffer {
  const file = masterKeyFile(keysDir, which)
  const key = random.bytes(32)
  try {
    mkdirSync(keysDir, { recursive: true, mode: 0o700 })
    createAtomically(file, `${key.toString('base64url')}\n`)
    return key
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const existing = code === 'EEXIST' ? readMasterKey(keysDir, which) : null
    if (existing) return existing
    throw new InvalidMasterKey(`${file} cannot be created (${code})`, error)
  }
}

/** Gives the current key a second name, under which it stays. A file that already has that name must contain the same key. */
export function keepOld(keysDir: string): void {
  const [file, old] = [masterKeyFile(keysDir), masterKeyFile(keysDir, 'old')]
  const existingOld = readMasterKey(keysDir, 'old')
  if (existingOld) {
    if (readMasterKey(keysDir)?.equals(existingOld)) return
    throw new InvalidMasterKey(`${old} contains another key and is not overwritten: move it away`)
  }
  orInvalid(old, () => linkSync(file, old))
  syncToDisk(keysDir)
}

/** Replaces the current key with the next one, in one step. */
export function promoteNext(keysDir: string): void {
  const file = masterKeyFile(keysDir)
  orInvalid(file, () => renameSync(masterKeyFile(keysDir, 'next'), file))
  // Without this, a power failure could lose the new name of the key that the database is encrypted under.
  syncToDisk(keysDir)
}

function orInvalid(file: string, work: () => void): void {
  try {
    work()
  } catch (error) {
    throw new InvalidMasterKey(`${file} cannot be created (${(error as NodeJS.ErrnoException).code})`, error)
  }
}
