/** Files that contain secrets. Must not know what the secrets are for. */
import { closeSync, fstatSync, openSync, type Stats, statSync } from 'node:fs'
import { readText } from './text.ts'

interface SecretFile {
  readonly text: string
  /** Other users can read or change the file, so it must be refused. */
  readonly exposed: boolean
}

/** The file that is checked is the one that is read, even if another file gets the name in between. */
export function readSecretFile(file: string): SecretFile {
  const fd = openSync(file, 'r')
  try {
    return { text: readText(fd), exposed: isExposed(fstatSync(fd)) }
  } finally {
    closeSync(fd)
  }
}

/** Whether other users can read or change a file. False if there is no such file. */
export function isExposedFile(file: string): boolean {
  const stat = statSync(file, { throwIfNoEntry: false })
  return stat?.isFile() === true && isExposed(stat)
}

/** As in ssh, a secret that others can read is refused with the command that fixes it, because it is not secret. */
export const exposedMessage = (file: string): string => `${file} can be read by others: chmod 600 ${file}`

/**
 * If the file belongs to another user, its group may read it: this is how an orchestrator gives a process a secret that belongs to
 * root (a Kubernetes volume with `fsGroup`, a file with mode 0640 and the group of the service). The process could not change the
 * mode.
 */
function isExposed({ mode, uid }: Stats): boolean {
  const isOwn = uid === process.getuid?.()
  return (mode & (isOwn ? 0o077 : 0o027)) !== 0
}
