/**
 * Servers in real processes, for what only a process can show: kills, signals, limits, races. `entry: 'failing'` runs
 * the same program with a fail point (see failing-keyturn.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Failpoint } from '../../../src/system.ts'
import type { ScaledClock } from '../server/clock.ts'
import { HANG_MS } from '../server/waiting.ts'
import type { Folder, Owner } from './data-folder.ts'
import type { WriterFault } from './writer-faults.ts'

const ENTRY = fileURLToPath(new URL('../../../src/keyturn.js', import.meta.url))
/** What `keyturn.js` does about compilation, for an entry that is compiled itself. */
const PRELOAD = new URL('./preload.js', import.meta.url).href
const FAILING_ENTRY = fileURLToPath(new URL('./failing-keyturn.ts', import.meta.url))

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ProcessOptions {
  /** Settings without the prefix. */
  readonly settings?: Record<string, string>
  /** Environment variables without Keyturn’s prefix. */
  readonly env?: Readonly<Record<string, string>>
  /** Another copy of the program: its `src/keyturn.js`. */
  readonly entry?: string
  /** The process kills itself with SIGKILL when it reaches this fail point for the nth time. */
  readonly failAt?: { readonly name: Failpoint; readonly nth?: number }
  readonly clock?: ScaledClock
  /** A file with the number of seconds by which the machine’s clock is wrong; read again at SIGUSR2. */
  readonly wrongBy?: string
  /** Makes the database flush less than the program asks for, to see whether a test would notice. */
  readonly synchronous?: 'NORMAL'
  /** Milliseconds by which each commit of the database is delayed, as by a slow disk. */
  readonly flushDelay?: number
  /** What happens to the thread that writes to a slow disk. */
  readonly writerFault?: WriterFault
  /** Put before the command and replaced by it, so that the pid stays, e.g. `['strace', '-D', '-f']`. */
  readonly wrap?: readonly string[]
  /** Run as this user and group. */
  readonly uid?: number
  /** Options of `serve`. */
  readonly args?: readonly string[]
  /** Where the log goes: collected by default; a file descriptor, or a pipe that is not read. */
  readonly log?: number | 'unread'
}

interface Program {
  readonly child: ChildProcess
  readonly pid: number
  /** Resolves when it has ended. */
  readonly ended: Promise<Ending>
  stdout(): string
  stderr(): string
}

/** Without anything that the test runner put into the environment. */
function environment(folder: Folder, options: ProcessOptions): NodeJS.ProcessEnv {
  const settings = { PORT: '0', ...folder.settings, ...options.settings }
  return {
    PATH: process.env.PATH,
    HOME: folder.path,
    ...options.env,
    ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [`KEYTURN_${name}`, value])),
    ...(options.failAt ? { FAIL_AT: options.failAt.name, FAIL_NTH: String(options.failAt.nth ?? 1) } : {}),
    ...(options.synchronous ? { SYNCHRONOUS: options.synchronous } : {}),
    ...(options.flushDelay ? { FLUSH_DELAY: String(options.flushDelay) } : {}),
    ...(options.writerFault ? { WRITER_FAULT: JSON.stringify(options.writerFault) } : {}),
    ...(options.wrongBy ? { WRONG_BY: options.wrongBy } : {}),
    ...(options.clock ? { CLOCK: JSON.stringify(options.clock) } : {}),
  }
}

export function runProgram(folder: Folder, args: readonly string[], options: ProcessOptions = {}): Program {
  const { failAt, clock, synchronous, wrongBy, flushDelay } = options
  const special = failAt || clock || synchronous || wrongBy || flushDelay
  const entry = special ? FAILING_ENTRY : (options.entry ?? ENTRY)
  // The test runner adds its own hooks to every process it sees; the server should run as it always does.
  const node = [process.execPath, ...(special ? ['--import', PRELOAD] : [])]
  const plain = ['env', '-u', 'NODE_OPTIONS', ...node, entry, ...args]
  const [command = '', ...rest] = [...(options.wrap ?? []), ...plain]
  const child = spawn(command, rest, {
    cwd: folder.path,
    env: environment(folder, options),
    stdio: ['ignore', 'pipe', typeof options.log === 'number' ? options.log : 'pipe'],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  if (options.log === undefined) {
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
  }
  // An unread pipe never reports its end, so `close` would not come.
  const ended = once(child, options.log === 'unread' ? 'exit' : 'close').then(
    ([code, signal]): Ending => ({ code, signal }),
  )
  ended.catch(() => {})
  return { child, pid: child.pid ?? 0, ended, stdout: () => stdout, stderr: () => stderr }
}

export interface Result extends Ending {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end. */
export async function keyturn(
  folder: Folder,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<Result> {
  const program = runProgram(folder, args, options)
  const late = setTimeout(() => program.child.kill('SIGKILL'), HANG_MS)
  const ending = await program.ended
  clearTimeout(late)
  return { ...ending, stdout: program.stdout(), stderr: program.stderr() }
}

export interface ServerProcess extends Program {
  readonly url: string
  readonly port: number
  /** Like that of the in-process test server, so that both accept the same requests. */
  inject(options: InjectOptions): Promise<LightMyRequestResponse>
  /** Sends SIGTERM and resolves with the ending. */
  stop(): Promise<Ending>
  /** Sends SIGKILL and resolves with the ending. */
  kill(): Promise<Ending>
}

/** Starts `keyturn serve` and waits until it reports its address; throws its output if it ended instead. */
export async function startServer(
  owner: Owner,
  folder: Folder,
  options: ProcessOptions = {},
): Promise<ServerProcess> {
  const program = runProgram(folder, ['serve', '--json', ...(options.args ?? [])], options)
  owner.teardown(async () => {
    program.child.kill('SIGKILL')
    await program.ended
  })
  const { port } = await announced(program)
  const url = `http://127.0.0.1:${port}`
  const signal = (name: NodeJS.Signals) => async () => {
    program.child.kill(name)
    return program.ended
  }
  return {
    ...program,
    url,
    port,
    inject: (request) => send(url, request),
    stop: signal('SIGTERM'),
    kill: signal('SIGKILL'),
  }
}

/** Like {@link startServer}; null if the server was killed before it reported its address. */
export async function startServerThatMayDie(
  ...args: Parameters<typeof startServer>
): Promise<ServerProcess | null> {
  return startServer(...args).catch((error: Error) => {
    if (!error.message.startsWith('the server ended (SIGKILL)')) throw error
    return null
  })
}

function announced(program: Program): Promise<{ port: number }> {
  return new Promise((resolve, reject) => {
    const checkReady = () => {
      const line = program.stdout()
      if (line.endsWith('\n')) resolve(JSON.parse(line))
    }
    program.child.stdout?.on('data', checkReady)
    program.ended.then(({ code, signal }) =>
      reject(new Error(`the server ended (${code ?? signal}): ${program.stderr()}`)),
    )
  })
}

async function send(url: string, request: InjectOptions): Promise<LightMyRequestResponse> {
  const response = await fetch(url + String(request.url), {
    method: request.method ?? 'GET',
    headers: request.headers as Record<string, string>,
    ...(typeof request.payload === 'string' ? { body: request.payload } : {}),
    signal: AbortSignal.timeout(HANG_MS),
  })
  const body = await response.text()
  return {
    statusCode: response.status,
    headers: Object.fromEntries(response.headers),
    body,
    json: () => JSON.parse(body),
  } as unknown as LightMyRequestResponse
}
