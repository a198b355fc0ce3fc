/** Writes files that are either complete or absent, even after a power failure. Must not know their content. */
import {
  chmodSync,
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
import { mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

export interface WriteOptions {
  /** Whether to replace an existing file. If false, an existing file stays unchanged and `EEXIST` is thrown. */
  readonly replace: boolean
  /** The mode of open(2), to which the umask applies. By default, only the owner can read the file. */
  readonly mode?: number
}

/** Lets `write` fill a draft in a temporary folder beside `file`, and then moves the draft to `file`. */
export async function writeAtomically<T>(
  file: string,
  { replace, mode = 0o600 }: WriteOptions,
  write: (draft: string) => T | Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(`${file}.new-`)
  try {
    const draft = join(folder, 'draft')
    closeSync(openSync(draft, 'wx', mode))
    const created = statSync(draft).mode
    const result = await write(draft)
    // A copy has the mode of its source, and another draft may have replaced this one.
    chmodSync(draft, created & 0o777)
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
export function createAtomically(file: string, text: string): void {
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

/**
 * Replaces a file without blocking the event loop. The new file belongs to the owner of the old one, so that a command that an
 * administrator runs as root does not take it away from the server.
 */
export async function replaceAtomically(file: string, text: string): Promise<void> {
  const folder = await mkdtemp(`${file}.new-`)
  try {
    const draft = join(folder, 'draft')
    const owner = await stat(file).catch(() => null)
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      if (owner) await handle.chown(owner.uid, owner.gid)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(draft, file)
    const names = await open(dirname(file), 'r')
    await names.sync().finally(() => names.close())
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Deletes the drafts of processes that were killed while they replaced the file. */
export async function removeDrafts(file: string): Promise<void> {
  const names = await readdir(dirname(file)).catch(() => [])
  for (const name of names.filter((entry) => entry.startsWith(`${basename(file)}.new-`)))
    await rm(join(dirname(file), name), { recursive: true, force: true })
}

function place(draft: string, file: string, replace: boolean): void {
  try {
    if (replace) renameSync(draft, file)
    else linkSync(draft, file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Some file systems, such as those of memory sticks, have no links. There, the later of two concurrent writers wins.
    if (replace) throw error
    if (code === 'EEXIST' || existsSync(file)) throw alreadyExists(file)
    renameSync(draft, file)
  }
}

const alreadyExists = (file: string): Error =>
  Object.assign(new Error(`${file} already exists`), { code: 'EEXIST' })

/** Flushes the content of a file, or the names in a folder, to the disk. */
export function syncToDisk(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Whether two paths refer to the same file. */
export function sameFile(a: string, b: string): boolean {
  const [first, second] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }))
  return first !== undefined && first.ino === second?.ino && first.dev === second.dev
}
