/** Faults injected into a folder or a running process, where the machine allows it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Owner } from './data-folder.ts'

/**
 * False if the test can run; otherwise the reason, for `skip`. It is also printed, since a skipped fault test proves
 * nothing.
 */
type Skip = string | false

const succeeds = (command: string, ...args: string[]) => spawnSync(command, args).status === 0

export const withoutTmpfs: Skip =
  process.getuid?.() === 0 && succeeds('unshare', '-m', 'mount', '-t', 'tmpfs', 'none', '/mnt')
    ? false
    : 'only root can mount a small disk: a full disk was NOT tested'

export const withoutPrlimit: Skip = succeeds('prlimit', '--pid', String(process.pid), '--fsize')
  ? false
  : 'there is no prlimit: failing writes were NOT tested'

export const withoutStrace: Skip = succeeds('strace', '-f', '-o', '/dev/null', 'true')
  ? false
  : 'there is no strace, or it may not trace: faults of single system calls were NOT tested'

interface SmallDisk {
  readonly path: string
  /** Leaves this many bytes free. */
  fill(leave?: number): void
  free(): void
}

const CHUNK = Buffer.alloc(4096)

/** A separate disk at `path`, which the caller must have the right to mount. */
export function smallDisk(owner: Owner, path: string, bytes: number): SmallDisk {
  mkdirSync(path, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'none', path])
  owner.teardown(() => execFileSync('umount', ['-l', path]))
  const filler = join(path, 'filler')
  return {
    path,
    fill(leave = 0) {
      const fd = openSync(filler, 'w')
      const reserve = join(path, 'reserve')
      const reserved = openSync(reserve, 'w')
      for (let i = 0; i < leave; i += CHUNK.length) writeSync(reserved, CHUNK)
      closeSync(reserved)
      try {
        for (;;) writeSync(fd, CHUNK)
      } catch {
        // ENOSPC is the goal.
      }
      closeSync(fd)
      rmSync(reserve)
    },
    free: () => rmSync(filler, { force: true }),
  }
}

/** Prevents a running process from writing to any file (EFBIG); `undefined` lifts the limit. */
export function limitFileSize(pid: number, bytes: number | undefined): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes ?? 'unlimited'}:unlimited`])
}
