/** A future release: this source tree with another version and more migrations, in its own folder. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type Migration, readMigrations } from '../../../src/store/migrate.ts'
import { version } from '../../../src/version.ts'
import type { Owner } from './data-folder.ts'
import type { ProcessOptions } from './process.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

export interface Release {
  readonly version: string
  /** For processes of this release. */
  readonly run: Pick<ProcessOptions, 'entry' | 'env'>
  readonly migrations: readonly Migration[]
}

/** This source tree itself. */
export const THIS_RELEASE: Release = { version, run: {}, migrations: readMigrations() }

/** The version this many releases later. */
export function laterVersion(releases: number): string {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return `${major}.${minor + releases}.0`
}

/** @param migrations file → content, in addition to the existing ones */
export function makeRelease(owner: Owner, version: string, migrations: Record<string, string>): Release {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-release-'))
  owner.teardown(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(ROOT, 'src'), join(folder, 'src'), {
    recursive: true,
    filter: (path) => !path.endsWith('/dist'),
  })
  cpSync(join(ROOT, 'migrations'), join(folder, 'migrations'), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  for (const [file, sql] of Object.entries(migrations)) {
    writeFileSync(join(folder, 'migrations', file), sql)
  }
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, version }))
  // Its compile cache goes with the folder, not into that of this source tree.
  const env = { NODE_COMPILE_CACHE: join(folder, 'cache') }
  return {
    version,
    run: { entry: join(folder, 'src/keyturn.js'), env },
    migrations: readMigrations(pathToFileURL(join(folder, 'migrations/'))),
  }
}
