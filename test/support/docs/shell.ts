/** A fresh checkout, and the documents’ commands pasted into a shell there. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Owner } from '../processes/data-folder.ts'
import { root } from './documents.ts'

const run = promisify(execFile)

/** What `npm ci` leaves, without running it. */
export function checkout(t: Owner): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'keyturn-readme-')))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  copyFileSync(join(root, 'package.json'), join(folder, 'package.json'))
  for (const part of ['node_modules', 'src', 'migrations', 'examples']) {
    symlinkSync(join(root, part), join(folder, part))
  }
  return folder
}

/** The environment without the variables of the test runner and of the user who runs it. */
export function shellEnvironment(settings: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^KEYTURN_|^NODE_OPTIONS$/.test(name))
  const { PATH = '', ...rest } = Object.fromEntries(inherited)
  return { ...rest, PATH: dirname(process.execPath) + delimiter + PATH, ...settings }
}

/** Does what npx does in a checkout, without the second that npx takes to find out. */
const NPX = `npx() { case $1 in keyturn) shift; node src/keyturn.js "$@";; *) "$@";; esac; }\n`

/** Runs a block as if it were pasted: variables set by one block are visible in the next. */
export async function paste(
  folder: string,
  env: NodeJS.ProcessEnv,
  block: string,
  before = NPX,
): Promise<string> {
  const script = `set -e; test ! -f .session || . ./.session; set -a\n${before}${block}\nexport -p > .session`
  const { stdout } = await run('sh', ['-c', script], { cwd: folder, env })
  return stdout
}

export interface Terminal {
  /** The standard output so far. */
  output(): string
  /** Sends Ctrl-C to the command’s process group. */
  stop(): Promise<void>
}

/** A command that keeps running, in its own terminal; waits for its first output. */
export async function terminal(
  t: Owner,
  folder: string,
  env: NodeJS.ProcessEnv,
  command: string,
): Promise<Terminal> {
  const child = spawn('sh', ['-c', NPX + command], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let output = ''
  child.stdout.on('data', (data: Buffer) => {
    output += data
  })
  let errors = ''
  child.stderr.on('data', (data: Buffer) => {
    errors += data
  })
  let stopping = false
  // A test must not end well, or wait for ever, if its server has crashed on the way.
  const ended = once(child, 'exit').then(() => {
    if (!stopping) throw new Error(`${command} ended: ${errors}`)
  })
  ended.catch(() => {})
  const stop = async () => {
    stopping = true
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), 'SIGINT')
    await ended
  }
  t.teardown(stop)
  await Promise.race([once(child.stdout, 'data'), ended])
  return { output: () => output, stop }
}
