/**
 * Runs one command with the arguments of the process. The only file that uses the process: arguments, environment, streams, exit.
 */
import { constants, userInfo } from 'node:os'
import type { Io } from './cli/io.ts'
import { run } from './cli/run.ts'

/** @param more replaces parts of `Io`, in crash tests */
export async function start(more: Partial<Io> = {}, signals: Signals = listen()): Promise<void> {
  const { stdin, stdout, stderr } = process
  const outputLost = watchOutput(stdout)
  // There is no place left where this could be reported.
  stderr.on('error', () => {})
  const { stopSignal, handleSignals } = stopOn(signals)
  const io: Io = {
    env: process.env,
    cwd: process.cwd(),
    stdin,
    out: (text) => stdout.write(text),
    err: (text) => stderr.write(text),
    errIsTerminal: stderr.isTTY === true,
    interactive: stdin.isTTY === true && stderr.isTTY === true,
    askSecret,
    confirm,
    openBrowser,
    columns: stdout.columns ?? 100,
    pid: process.pid,
    isRunning,
    operator: operatorName(),
    outputLost,
    stopSignal,
    forceExit: (code) => process.exit(code),
    ...more,
  }
  process.exitCode = await run(process.argv.slice(2), io, handleSignals)
}

/** Prompts on standard error, so that standard output contains only the result of the command. */
async function askSecret(question: string): Promise<string> {
  const { default: password } = await import('@inquirer/password')
  return password(
    { message: question, mask: true, toggleMask: false },
    { input: process.stdin, output: process.stderr },
  )
}

/** Ctrl-C and the end of the input are a no. */
async function confirm(question: string): Promise<boolean> {
  const { createInterface } = await import('node:readline')
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  return new Promise((resolve) => {
    lines.on('close', () => resolve(false))
    lines.on('SIGINT', () => {
      process.stderr.write('\n')
      lines.close()
    })
    lines.question(`${question} [y/N] `, (answer) => {
      resolve(/^\s*y(es)?\s*$/i.test(answer))
      lines.close()
    })
  })
}

/** The address is printed in any case, so a browser that does not start is no failure. */
async function openBrowser(url: string): Promise<void> {
  const { platform, env } = process
  // Without a desktop, for example in a session of ssh, the program below could start a browser in the terminal.
  if (platform === 'linux' && !env.DISPLAY && !env.WAYLAND_DISPLAY) return
  const programs: Partial<Record<NodeJS.Platform, readonly string[]>> = {
    darwin: ['open'],
    win32: ['rundll32', 'url.dll,FileProtocolHandler'],
  }
  const [program = '', ...args] = programs[platform] ?? ['xdg-open']
  const { spawn } = await import('node:child_process')
  const child = spawn(program, [...args, url], { stdio: 'ignore', detached: true })
  child.on('error', () => {})
  child.unref()
}

/**
 * The signals that `src/keyturn.js` has received since the process started, and the function that it calls for later ones.
 */
interface Signals {
  readonly early: NodeJS.Signals[]
  handle?: ((name: NodeJS.Signals) => void) | undefined
}

/** For programs other than `src/keyturn.js` that call `start`, such as those of tests: they do not listen for signals themselves. */
function listen(): Signals {
  const signals: Signals = { early: [] }
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(name, () => (signals.handle ? signals.handle(name) : signals.early.push(name)))
  return signals
}

/**
 * The first signal stops a command that waits for it, such as `serve`, in an orderly way; a second one, of any kind, ends the
 * process at once. Every other command is ended by the first one.
 */
function stopOn(signals: Signals) {
  const waiting: ((name: string) => void)[] = []
  let stopping = false
  const handle = (name: NodeJS.Signals) => {
    if (waiting.length === 0) return endBy(name)
    if (stopping) process.exit(1)
    stopping = true
    for (const stop of waiting) stop(name)
  }
  return {
    stopSignal: () =>
      new Promise<string>((resolve) => {
        waiting.push(resolve)
        if (process.env.npm_lifecycle_event !== undefined) whenOrphaned(() => resolve('SIGTERM'))
      }),

    /** Called when the command has begun, and has said whether it waits for a signal. */
    handleSignals() {
      signals.handle = handle
      for (const name of signals.early.splice(0)) handle(name)
    },
  }
}

/** Ends the process as the signal does without a handler, so that a shell sees that it was interrupted. */
function endBy(name: NodeJS.Signals): void {
  process.removeAllListeners(name)
  process.kill(process.pid, name)
  // Reached by process 1 of a container, which no signal ends. Shells report a signal in the same way.
  setImmediate(() => process.exit(128 + constants.signals[name]))
}

/**
 * Standard output may be a pipe whose reader has gone (`| head`), or a file on a full disk. A command still does all of its work: its
 * output is dropped.
 * @returns resolves with the reason why output was lost; null if all of it was written, or its reader has seen enough
 */
function watchOutput(stdout: NodeJS.WriteStream): () => Promise<string | null> {
  let lost: string | null = null
  stdout.on('error', ({ code = 'unknown' }: NodeJS.ErrnoException) => {
    if (code !== 'EPIPE') lost ??= code
  })
  return async () => {
    // The callback comes after those of all earlier writes, also if they failed.
    await new Promise<void>((resolve) => stdout.write('', () => resolve()))
    return lost
  }
}

const ORPHANED_MS = 250

/**
 * npm sends SIGTERM to the shell between it and this process, and the shell exits without passing the signal on. This process
 * notices only that its parent has changed. Without this check, stopping `npm start` would leave the server running.
 */
function whenOrphaned(stop: () => void): void {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    stop()
  }, ORPHANED_MS)
  timer.unref()
}

function operatorName(): string {
  try {
    return userInfo().username
  } catch {
    // A container may run under a user id that has no name.
    return String(process.getuid?.() ?? 'unknown')
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // EPERM: it belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
