import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeAtomically } from '../durable-file.ts'
import { listsFolder, type StaticFile, staticSite } from '../http/static-site.ts'
import { openServer, type Server } from '../node/server.ts'
import { action, type CommandFactory, type Context, examples, fileName } from './context.ts'

interface ExportOptions {
  readonly json?: boolean
  readonly watch?: boolean
}

const WATCH_INTERVAL_MS = 1000

export const exportCommand: CommandFactory = (context) =>
  examples(
    action('export', 'write the JWKS, metadata and status lists as static files, for a bucket or a CDN')
      .argument('<folder>', 'target folder, created if it does not exist', fileName)
      .option('--watch', 'keep running and write changes')
      .action((folder: string, options: ExportOptions) => exportTo(context, folder, options)),
    'export public',
    'export public --watch',
  )

function exportTo(context: Context, folder: string, options: ExportOptions): Promise<void> {
  return context.withKeys(async (base, keys) => {
    const system = context.system(base.config)
    const server = await openServer(base, keys, system)
    const files = await write(folder, server)
    const written = files.map(({ path }) => path.slice(1))
    context.print(options, { folder, files: written }, written.map((path) => join(folder, path)).join('\n'))
    if (!options.watch) return
    let stopped = false
    context.io.stopSignal().then(() => {
      stopped = true
    })
    while (!stopped) {
      await sleep(WATCH_INTERVAL_MS)
      // If the store is unavailable, the files stay as they are, so that verifiers can still fetch them.
      await update(folder, server).catch((error) => system.logger.warn({ err: error }, 'export failed'))
    }
  })
}

async function update(folder: string, server: Server): Promise<void> {
  await server.jobs.poll()
  await write(folder, server)
}

async function write(folder: string, server: Server): Promise<StaticFile[]> {
  const files = await staticSite(server)
  for (const { path, body } of files) await writeIfChanged(join(folder, path), body)
  await removeOldLists(folder, listsFolder(server.base.config), files)
  return files
}

/** Replaces the file atomically for programs that read the folder. The mode lets a web server read it. */
async function writeIfChanged(file: string, body: string): Promise<void> {
  if ((await readFile(file, 'utf8').catch(() => undefined)) === body) return
  await mkdir(dirname(file), { recursive: true })
  await writeAtomically(file, { replace: true, mode: 0o666 }, (draft) => writeFile(draft, body))
}

/** Deletes the lists that no unexpired token refers to. */
async function removeOldLists(folder: string, lists: string, files: readonly StaticFile[]): Promise<void> {
  const current = new Set(files.map(({ path }) => path))
  const names = await readdir(join(folder, lists)).catch(() => [])
  for (const name of names) {
    if (/^\d+$/.test(name) && !current.has(`${lists}/${name}`)) await rm(join(folder, lists, name))
  }
}
