/** Files that are whole under their name or not there, and stay so after a power cut. Must not know what is in them. */
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
} from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * Lets `write` fill a file, readable by nobody else, in a folder of its own beside `file`, and then gives it the name.
 * @param replace a file that has the name is replaced; otherwise `EEXIST` is thrown, and it stays as it was
 */
export async function writeWhole<T>(
  file: string,
  replace: boolean,
  write: (draft: string) => T | Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(`${file}.new-`)
  try {
    const draft = join(folder, 'draft')
    closeSync(openSync(draft, 'wx', 0o600))
    const result = await write(draft)
    sync(draft)
    place(draft, file, replace)
    sync(dirname(file))
    return result
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
    // Some file systems, as on memory sticks, know no links; there two writers of one name are told by chance.
    if (replace) throw error
    if (code === 'EEXIST' || existsSync(file)) throw taken(file)
    renameSync(draft, file)
  }
}

const taken = (file: string): Error =>
  Object.assign(new Error(`${file} is there already`), { code: 'EEXIST' })

/** Content of a file, or names in a folder: on disk when this returns. */
function sync(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Two names of one file. */
export function sameFile(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }))
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev
}
