/** Files that are either complete under their name or absent, also after a power cut. Must not know what is in them. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

export interface WriteOptions {
  /** Replace a file that has the name already. Otherwise `EEXIST` is thrown, and that file stays as it was. */
  readonly replace: boolean
  /** As in open(2), so the umask still applies. By default only the owner can read the file. */
  readonly mode?: number
}

/** Lets `write` fill a draft in a folder of its own beside `file`, and then gives the draft that name. */
export async function writeWhole<T>(
  file: string,
  { replace, mode = 0o600 }: WriteOptions,
  write: (draft: string) => T | Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(`${file}.new-`)
  try {
    const draft = join(folder, 'draft')
    closeSync(openSync(draft, 'wx', mode))
    const result = await write(draft)
    syncToDisk(draft)
    place(draft, file, replace)
    syncToDisk(dirname(file))
    return result
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Creates a file that only its owner can read. A link gives it the name, so of two concurrent writers one creates the file,
 * and the other gets `EEXIST`; a file system without links is refused.
 */
export function createWhole(file: string, text: string): void {
  // A process id would not be unique: containers that share a volume have the same ids.
  const folder = mkdtempSync(`${file}.new-`)
  try {
    const draft = join(folder, 'draft')
    writeFileSync(draft, text, { flag: 'wx', mode: 0o600 })
    syncToDisk(draft)
    linkSync(draft, file)
    syncToDisk(dirname(file))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function place(draft: string, file: string, replace: boolean): void {
  try {
    if (replace) renameSync(draft, file)
    else linkSync(draft, file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Some file systems, such as those of memory sticks, have no links. There, the later of two concurrent writers wins.
    if (replace) throw error
    if (code === 'EEXIST' || existsSync(file)) throw taken(file)
    renameSync(draft, file)
  }
}

const taken = (file: string): Error =>
  Object.assign(new Error(`${file} is there already`), { code: 'EEXIST' })

/** Brings the content of a file, or the names in a folder, to the disk. */
export function syncToDisk(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Whether two paths name one file. */
export function sameFile(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }))
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev
}
