/** The file that holds the master key. Created once, exclusively; never replaced, never loosely readable. */
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { masterKey as parse } from '../config/parsers.ts'
import type { Random } from '../system.ts'

/** The master key is missing, damaged, unreadable or readable by others; the message says what to do. */
export class MasterKeyProblem extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'MasterKeyProblem'
  }
}

export function masterKeyFile(keysDir: string): string {
  return join(keysDir, 'master.key')
}

/** @returns undefined if there is none; @throws {MasterKeyProblem} if there is one that cannot be used */
export function readMasterKey(keysDir: string): Buffer | undefined {
  const file = masterKeyFile(keysDir)
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
export function createMasterKey(keysDir: string, random: Pick<Random, 'bytes'>): Buffer {
  const file = masterKeyFile(keysDir)
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
    const theirs = code === 'EEXIST' ? readMasterKey(keysDir) : undefined
    if (theirs) return theirs
    throw new MasterKeyProblem(`${file} cannot be made (${code})`, error)
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
