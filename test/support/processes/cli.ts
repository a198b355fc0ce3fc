/** The command line in this process, with its own folder, clock and log. Nothing is in the folder before `start`. */
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Io } from '../../../src/cli/io.ts'
import { run } from '../../../src/cli/run.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { openKeys } from '../../../src/keys/index.ts'
import { closeBase, openBase } from '../../../src/node/base.ts'
import { recordStore } from '../../../src/node/expected-store.ts'
import { createStore, openDb, type Store } from '../../../src/store/index.ts'
import { cachedKeys } from '../server/cached-keys.ts'
import { type TestClock, testClock } from '../server/clock.ts'
import { type TestLogger, testLogger } from '../server/log.ts'
import type { Folder } from './data-folder.ts'
import '../server/quick-hashing.ts'
import { isRemote, remotely, remoteServers } from './remote-commands.ts'

interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
  /** The output, if it is exactly one JSON document in one line; otherwise it throws. */
  json<T = Record<string, unknown>>(): T
}

export interface RunOptions extends Partial<Io> {
  /** Standard input. */
  readonly input?: string | Buffer
  /** Settings added to or replacing those of the folder, without the prefix. */
  readonly settings?: Record<string, string>
  /** Other variables of the environment. */
  readonly variables?: Record<string, string>
}

export interface Cli {
  readonly dir: string
  readonly database: string
  readonly keysDir: string
  readonly clock: TestClock
  readonly logger: TestLogger
  /** Whether commands run on the remote implementation if they can: see remote-commands.ts. */
  readonly remote: boolean
  /** All settings, for a separate process. */
  readonly env: Record<string, string>
  /** Creates the store, the keys and the record, as the first start of a server does. */
  start(settings?: Record<string, string>): Promise<void>
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>
  /** Runs a command with `--json` that must succeed, and returns its output. */
  json<T = Record<string, unknown>>(args: readonly string[], options?: RunOptions): Promise<T>
  /** Opens the store, and closes it afterwards. */
  withStore<T>(work: (store: Store) => Promise<T>): Promise<T>
}

export function testCli(t: Test, clock: TestClock = testClock()): Cli {
  const dir = t.testdir({})
  const database = join(dir, 'data', 'keyturn.db')
  const keysDir = join(dir, 'keys')
  const logger = testLogger()
  const env = { KEYTURN_DATABASE_URL: `sqlite:${database}`, KEYTURN_KEYS_DIR: keysDir }

  const servers = remoteServers({ dir, clock, logger })
  t.teardown(() => servers.close())

  async function runCommand(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const { settings = {}, variables = {}, ...io } = options
    const all = { ...env, ...prefixed(settings) }
    if (!isRemote(args))
      return runHere(args, { env: { ...all, ...variables }, cwd: dir, clock, logger, ...io })
    const { args: remoteArgs, settle, env: own, ...reach } = await servers.reach(args, all)
    const remoteEnv = { ...own, ...variables }
    const outcome = await runHere(remoteArgs, { cwd: dir, clock, logger, ...io, ...reach, env: remoteEnv })
    await settle()
    return outcome
  }

  async function start(settings: Record<string, string> = {}): Promise<void> {
    const config = loadConfig({ ...env, ...prefixed(settings) }, dir)
    const base = await openBase(config, { clock, logger, generateKey: cachedKeys }, 'create')
    try {
      await openKeys(base)
      await recordStore(base.store, base.record, logger)
    } finally {
      await closeBase(base, logger)
    }
  }

  return {
    dir,
    start,
    database,
    keysDir,
    clock,
    logger,
    remote: remotely(),
    env,
    run: runCommand,
    async json<T>(args: readonly string[], options?: RunOptions) {
      const outcome = await runCommand([...args, '--json'], options)
      if (outcome.code !== 0) throw new Error(`${args.join(' ')} exited ${outcome.code}: ${outcome.err}`)
      return outcome.json<T>()
    },
    async withStore(work) {
      const db = openDb(`sqlite:${database}`)
      try {
        return await work(createStore(db))
      } finally {
        await db.close()
      }
    },
  }
}

const prefixed = (settings: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [`KEYTURN_${name}`, value]))

/**
 * Runs a command on a data folder in this process, which costs a fifth of what a process of its own costs. Its audit lines and its
 * log are not in `stderr`.
 */
export async function commandIn(
  folder: Folder,
  args: readonly string[],
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const env = {
    KEYTURN_DATABASE_URL: `sqlite:${folder.database}`,
    KEYTURN_KEYS_DIR: join(folder.path, 'keys'),
    ...prefixed(folder.settings),
  }
  const { code, out, err } = await runHere(args, { env, cwd: folder.path, logger: testLogger() })
  return { code, stdout: out, stderr: err }
}

type HereOptions = Omit<RunOptions, 'settings' | 'variables'> & Pick<Io, 'env' | 'cwd'>

async function runHere(args: readonly string[], { input = '', ...io }: HereOptions): Promise<Outcome> {
  let out = ''
  let err = ''
  const code = await run(args, {
    stdin: asStream(input),
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    errIsTerminal: false,
    interactive: false,
    askSecret: () => Promise.reject(new Error('the test has no terminal to ask')),
    confirm: () => Promise.reject(new Error('the test has no terminal to ask')),
    columns: 100,
    pid: 4711,
    isRunning: () => false,
    operator: 'tester',
    generateKey: cachedKeys,
    stopSignal: () => new Promise(() => {}),
    forceExit: (status) => {
      throw new Error(`the process was ended with ${status}`)
    },
    ...io,
  })
  return {
    code,
    out,
    err,
    json<T>() {
      if (!/^[^\n]+\n$/.test(out)) throw new Error(`not one line: ${JSON.stringify(out)}`)
      return JSON.parse(out) as T
    },
  }
}

/** A folder in which a server has been started and stopped. */
export async function startedCli(t: Test, clock?: TestClock): Promise<Cli> {
  const cli = testCli(t, clock)
  await cli.start()
  return cli
}

async function* asStream(input: string | Buffer): AsyncGenerator<Buffer> {
  yield Buffer.from(input)
}
