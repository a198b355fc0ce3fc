/**
 * What is read from files, and read again when they change: a renewed certificate must not need a restart. If the new files cannot be
 * used, what was read before stays in use. Must not know what the files contain.
 */
import { stat } from 'node:fs/promises'

export interface Reloaded<T> {
  current(): T
  /** Reads the files again if they have changed. Never rejects. */
  check(): Promise<void>
}

export interface ReloadedFilesOptions<T> {
  readonly files: readonly string[]
  /** Reads the files. Throws if they cannot be used. */
  readonly load: () => T
  readonly onLoaded: (value: T) => void
  /** Called once for each version of the files that cannot be used. */
  readonly onBroken: (error: unknown) => void
}

/** Rejects with the error of `load` if the files cannot be used now. */
export async function reloadedFiles<T>(options: ReloadedFilesOptions<T>): Promise<Reloaded<T>> {
  const { files, load, onLoaded, onBroken } = options
  // The version is taken before the files are read, so that a change in between is noticed at the next check.
  let version = await versionOf(files)
  let value = load()
  /** The version that could not be used, and whether it was reported. */
  let broken: { readonly version: string; readonly reported: boolean } | null = null

  async function check(): Promise<void> {
    const found = await versionOf(files)
    if (found === version) {
      broken = null
      return
    }
    if (broken?.version === found && broken.reported) return
    try {
      value = load()
      version = found
      broken = null
      onLoaded(value)
    } catch (error) {
      // Several files change one after the other, so a version is reported only if it is still there at the next check.
      const reported = broken?.version === found
      broken = { version: found, reported }
      if (reported) onBroken(error)
    }
  }

  let checking: Promise<void> | null = null
  return {
    current: () => value,
    check() {
      checking ??= check().finally(() => {
        checking = null
      })
      return checking
    },
  }
}

/**
 * A text that changes when one of the files does. A symbolic link is followed: Kubernetes renews the files of a secret by leading a link
 * to another folder.
 */
async function versionOf(files: readonly string[]): Promise<string> {
  const versions = await Promise.all(
    files.map(async (file) => {
      const found = await stat(file, { bigint: true }).catch(() => null)
      return found ? `${found.dev}-${found.ino}-${found.size}-${found.mtimeNs}-${found.ctimeNs}` : 'absent'
    }),
  )
  return versions.join(' ')
}
