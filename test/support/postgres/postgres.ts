/**
 * A real PostgreSQL from npm packages alone, for one test file: started here, stopped and deleted at its end. If it
 * cannot start, the tests that need it fail instead of being skipped.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Owner } from '../processes/data-folder.ts'
import { freePort } from '../server/free-port.ts'
import { makeTemplate, openDatabases, run, urlOf } from './databases.ts'
import { ENVIRONMENT, placeFiles, userFor } from './files.ts'

interface Postgres {
  readonly port: number
  /** The URL of the database `postgres`, as its superuser. */
  readonly admin: string
  url(database: string): string
  /** A database with the schema and nothing else in it, until the test ends. */
  database(owner: Owner): Promise<string>
  /** A database with nothing in it. */
  emptyDatabase(): Promise<string>
  /** Kills all its processes at once, as in a crash (`pg_ctl stop -m immediate`). */
  crash(): Promise<void>
  /** Starts it after a crash; resolves when it has recovered. */
  restart(): Promise<void>
  /** SIGSTOP and SIGCONT for all its processes: connected but unresponsive. */
  freeze(): void
  thaw(): void
}

interface PostgresOptions {
  /** Lines of postgresql.conf, e.g. `{ max_connections: '20' }`. */
  readonly settings?: Readonly<Record<string, string>>
}

const SETTINGS = {
  // Without it only a crash of the machine loses data, not a crash of the processes.
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
  const user = userFor(folder)
  const { bin, data } = await placeFiles(folder, user)
  const port = await freePort()

  async function start(): Promise<void> {
    const flags = Object.entries({ ...SETTINGS, ...options.settings }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ])
    const args = ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', '', ...flags]
    const child = spawn(join(bin, 'postgres'), args, {
      ...user,
      env: ENVIRONMENT,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    running = child
    let output = ''
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      output = (output + text).slice(-10_000)
    })
    while (!(await answers(url('postgres')))) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`PostgreSQL has ended: ${output}`)
      await sleep(20)
    }
  }

  const admin = `postgres://postgres@127.0.0.1:${port}/postgres`
  const url = (database: string) => urlOf(admin, database)
  await start()
  await makeTemplate(admin)
  const databases = await openDatabases(admin)
  let databaseCount = 0

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
      databaseCount += 1
      await run(admin, `CREATE DATABASE empty_${databaseCount}`)
      return url(`empty_${databaseCount}`)
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

function childrenOf(pid: number | undefined): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.trim().split(' ').filter(Boolean).map(Number)
}
