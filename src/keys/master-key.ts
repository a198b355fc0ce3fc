/**
 * The files that hold master keys. Each is created once, exclusively, and never loosely readable. One key takes the place of
 * another only when the store is sealed with it, and then the other is kept.
 */
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { masterKey as parse } from '../config/parsers.ts'
import { KeyturnError } from '../errors.ts'
import type { Random } from '../system.ts'

/** The master key is missing, damaged, unreadable or readable by others; the message says what to do. */
export class MasterKeyProblem extends KeyturnError<'invalid_master_key'> {
  constructor(message: string, cause?: unknown) {
    super('invalid_master_key', message, { cause })
  }
}

/** `next`: the one that a reseal goes to; `old`: the one that the last reseal came from. */
export type WhichKey = 'current' | 'next' | 'old'

const NAMES: Readonly<Record<WhichKey, string>> = {
  current: 'master.key',
  next: 'master.key.next',
  old: 'master.key.old',
}

export function masterKeyFile(keysDir: string, which: WhichKey = 'current'): string {
  return join(keysDir, NAMES[which])
}

/** @returns undefined if there is none; @throws {MasterKeyProblem} if there is one that cannot be used */
export function readMasterKey(keysDir: string, which: WhichKey = 'current'): Buffer | undefined {
  const file = masterKeyFile(keysDir, which)
  let text: string
  try {
    const stat = statSync(file)
    if (!stat.isFile()) throw new MasterKeyProblem(`${file} is not a file`)
    // Like ssh: a key that others can read is no secret, and going on would hide that.
    if ((stat.mode & 0o077) !== 0) {
      throw new MasterKeyProblem(`${file} can be read by others: chmod 600 ${file}`)
    }
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof MasterKeyProblem) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new MasterKeyProblem(`${file} cannot be read (${code})`, error)
  }
  try {
    return parse(text.trim())
  } catch {
    throw new MasterKeyProblem(
      `${file} is damaged: it must hold 32 bytes in base64url; restore it from a backup`,
    )
  }
}

/**
 * Makes a new master key, 0600, complete before it has its name, so that neither a kill nor a second process
 * can leave half a key or replace one. If another process was first, its key is returned.
 */
export function createMasterKey(
  keysDir: string,
  random: Pick<Random, 'bytes'>,
  which: WhichKey = 'current',
): Buffer {
  const file = masterKeyFile(keysDir, which)
  // A process id would be no unique name: containers that share a volume have the same ones.
  const draft = `${file}.${random.bytes(9).toString('base64url')}.new`
  const key = random.bytes(32)
  try {
    mkdirSync(keysDir, { recursive: true, mode: 0o700 })
    writeSynced(draft, `${key.toString('base64url')}\n`)
    try {
      linkSync(draft, file)
    } finally {
      unlinkSync(draft)
    }
    syncFolder(keysDir)
    return key
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const theirs = code === 'EEXIST' ? readMasterKey(keysDir, which) : undefined
    if (theirs) return theirs
    throw new MasterKeyProblem(`${file} cannot be made (${code})`, error)
  }
}

/** Gives the current key a second name, under which it stays. What has that name already must be the same key. */
export function keepOld(keysDir: string): void {
  const [file, old] = [masterKeyFile(keysDir), masterKeyFile(keysDir, 'old')]
  const kept = readMasterKey(keysDir, 'old')
  if (kept) {
    if (readMasterKey(keysDir)?.equals(kept)) return
    throw new MasterKeyProblem(`${old} is another key, and is not overwritten: move it away`)
  }
  attempt(old, () => linkSync(file, old))
  syncFolder(keysDir)
}

/** The next key becomes the current one, in one step. */
export function promoteNext(keysDir: string): void {
  const file = masterKeyFile(keysDir)
  attempt(file, () => renameSync(masterKeyFile(keysDir, 'next'), file))
  syncFolder(keysDir)
}

function attempt(file: string, work: () => void): void {
  try {
    work()
  } catch (error) {
    throw new MasterKeyProblem(`${file} cannot be made (${(error as NodeJS.ErrnoException).code})`, error)
  }
}

function writeSynced(file: string, text: string): void {
  const fd = openSync(file, 'wx', 0o600)
  try {
    writeSync(fd, text)
    fsyncSync(fd)
  } catch (error) {
    unlinkSync(file)
    throw error
  } finally {
    closeSync(fd)
  }
}

/** Without this a power cut could keep the database, sealed with a key whose name never reached the disk. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
