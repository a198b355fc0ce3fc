/**
 * Runs one command with the arguments of the process. The only file that uses the process: arguments, environment, streams, exit.
 */
import { userInfo } from 'node:os'
import type { Io } from './cli/io.ts'
import { run } from './cli/run.ts'

/** @param more replaces parts of `Io`, in crash tests */
export async function start(more: Partial<Io> = {}): Promise<void> {
  const { stdin, stdout, stderr } = process
  const io: Io = {
    env: process.env,
    cwd: process.cwd(),
    stdin,
    out: (text) => stdout.write(text),
    err: (text) => stderr.write(text),
    errIsTerminal: stderr.isTTY === true,
    interactive: stdin.isTTY === true && stderr.isTTY === true,
    askSecret,
    columns: stdout.columns ?? 100,
    pid: process.pid,
    operator: operatorName(),
    stopSignal,
    forceExit: (code) => process.exit(code),
    ...more,
  }
  process.exitCode = await run(process.argv.slice(2), io)
}

/** Prompts on standard error, so that standard output contains only the result of the command. */
async function askSecret(question: string): Promise<string> {
  const { default: password } = await import('@inquirer/password')
  return password(
    { message: question, mask: true, toggleMask: false },
    { input: process.stdin, output: process.stderr },
  )
}

/** The first signal stops the server gracefully. A second one, of either kind, ends the process at once. */
function stopSignal(): Promise<string> {
  let stopping = false
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (stopping) process.exit(1)
        stopping = true
        resolve(signal)
      })
    }
    if (process.env.npm_lifecycle_event !== undefined) whenOrphaned(() => resolve('SIGTERM'))
  })
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
