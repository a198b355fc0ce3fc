/** Checks of the files and folders: who can change or read them, and whether there is room to write. */
import { existsSync, statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

const MIB = 1_048_576
/** Room for some hours of write-ahead log. Less is reported while there is still time. */
const MIN_FREE_BYTES = 64 * MIB

/** @param later what to say of a folder that does not exist */
export function checkFolder(folder: string, later: () => string): readonly [string] {
  if (!existsSync(folder)) return [later()]
  const stat = statSync(folder)
  if (!stat.isDirectory()) throw new Error(`${folder} is not a folder: move or delete it`)
  const isOwnGroup = stat.gid === process.getegid?.()
  if (stat.mode & 0o002 || (stat.mode & 0o020 && !isOwnGroup)) {
    throw new Error(`others can write to ${folder} and replace its files: chmod 700 ${folder}`)
  }
  return [folder]
}

export function checkDatabaseFile(file: string): readonly [string] {
  if (statSync(file).mode & 0o077) {
    throw new Error(`${file} can be read by others and contains password hashes: chmod 600 ${file}`)
  }
  return [`${file}, readable by its owner only`]
}

/** @param files each may not exist yet, and is then written on the disk of the nearest folder that does */
export function checkFreeSpace(files: readonly string[]): readonly [string] {
  const free = files.map((file) => freeSpaceAt(file))
  const full = free.find(({ bytes, files: left }) => bytes < MIN_FREE_BYTES || left === 0)
  if (full) {
    const left = full.bytes < MIN_FREE_BYTES ? `only ${Math.floor(full.bytes / MIB)} MiB` : 'no more files'
    throw new Error(
      `the disk of ${full.folder} has room for ${left}: make room, because the server answers 503 to everything that it must store`,
    )
  }
  const least = free.reduce((a, b) => (b.bytes < a.bytes ? b : a))
  return [`${Math.floor(least.bytes / MIB)} MiB free for ${least.folder}`]
}

function freeSpaceAt(file: string) {
  let folder = dirname(file)
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  const { bavail, bsize, files, ffree } = statfsSync(folder)
  // Some file systems do not count files, and say 0 of 0.
  return { folder, bytes: bavail * bsize, files: files === 0 ? null : ffree }
}
