import { type ChildProcess, spawn } from 'node:child_process'

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** The URL of a source file, for a script to import: `source('store/index.ts')`. */
export const source = (path: string): string => new URL(`../../../src/${path}`, import.meta.url).href

/** Runs a module in a separate process; `wrapper` precedes node, e.g. `['strace', '-f']`. */
export function script(
  code: string,
  args: readonly string[] = [],
  options: { readonly wrapper?: readonly string[]; readonly uid?: number; readonly cwd?: string } = {},
): Promise<Ended> {
  const { wrapper = [], ...rest } = options
  const [command = '', ...before] = [...wrapper, process.execPath]
  const child = spawn(command, [...before, '--input-type=module', '-e', code, '--', ...args], {
    // Without the test runner’s own loaders.
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...rest,
  })
  return ended(child)
}

function ended(child: ChildProcess): Promise<Ended> {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}
