/** A demonstration with real commands in a temporary folder and a real server on a free port. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { commandLine } from '../command-line.ts'
import { apisCommand } from './apis.ts'
import { clientsCommand } from './clients.ts'
import {
  AlreadyReported,
  action,
  type CommandFactory,
  type Context,
  createContext,
  examples,
  type Json,
} from './context.ts'
import { demoSteps } from './demo-steps.ts'
import type { Io } from './io.ts'
import { keysCommand } from './keys.ts'
import { prepare } from './prepare.ts'
import { serveCommand } from './serve.ts'

export const demoCommand: CommandFactory = (context) =>
  examples(
    action('demo', 'issue, verify, rotate and revoke step by step, in a temporary folder').action(
      (options: Json) => demo(context, options),
    ),
    'demo',
    'demo --json',
  )

interface Step {
  readonly step: string
  readonly ok: boolean
  readonly details: readonly string[]
}

async function demo(context: Context, options: Json): Promise<void> {
  const steps: Step[] = []
  const printLine = (text: string) => {
    if (!options.json) context.io.out(`${text}\n`)
  }
  const folder = mkdtempSync(join(context.io.env.TMPDIR ?? tmpdir(), 'keyturn-demo-'))
  const server = createSandbox(context.io, folder)
  try {
    printLine(`Keyturn demo in ${folder}\n`)
    await Promise.race([runSteps(), interrupted(context.io)])
  } catch (error) {
    // A failed step has already been reported. Any other error comes from the sandbox.
    if (steps.every(({ ok }) => ok)) report({ step: 'the demo', ok: false, details: [String(error)] })
  } finally {
    await server.stop().catch(() => {})
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
  const ok = steps.every((step) => step.ok)
  printLine(ok ? `\nAll steps succeeded. Next: ${commandLine('serve')}, or README.md.` : '\nThe demo failed.')
  if (options.json) context.print(options, { ok, steps }, '')
  if (!ok) throw new AlreadyReported()

  function report(step: Step): void {
    steps.push(step)
    printLine(`${step.ok ? '✓' : '✗'} ${step.step}`)
    for (const line of step.details) printLine(`    ${line}`)
  }

  async function step(title: string, work: () => Promise<readonly string[]>): Promise<void> {
    try {
      report({ step: title, ok: true, details: await work() })
    } catch (error) {
      report({ step: title, ok: false, details: [(error as Error).message] })
      throw error
    }
  }

  async function runSteps(): Promise<void> {
    let issuer = ''
    await step('a server starts, with an embedded database and a new key ring', async () => {
      issuer = await server.start()
      return [`$ ${commandLine('serve')}`, issuer]
    })
    await demoSteps({ issuer, command: server.command, step })
  }
}

async function interrupted(io: Io): Promise<never> {
  throw new Error(`stopped by ${await io.stopSignal()}`)
}

const COMMANDS: Record<string, CommandFactory> = {
  serve: serveCommand,
  apis: apisCommand,
  clients: clientsCommand,
  keys: keysCommand,
}

/** Runs commands on `folder` with fixed settings, whatever the environment has, and captures their output. */
function createSandbox(io: Io, folder: string) {
  const env = {
    KEYTURN_PORT: '0',
    KEYTURN_DATABASE_URL: `sqlite:${join(folder, 'data', 'keyturn.db')}`,
    KEYTURN_KEYS_DIR: join(folder, 'keys'),
    KEYTURN_LOG_LEVEL: 'silent',
  }
  let stop: (signal: string) => void = () => {}
  const stopSignal = new Promise<string>((resolve) => {
    stop = resolve
  })
  /** The running commands, including those that an interrupted demo no longer waits for, because they still write to the folder. */
  const running = new Set<Promise<unknown>>()

  function run(name: string, args: string[], out: (text: string) => void): Promise<Command> {
    const quietIo = { ...io, env, cwd: folder, out, err: () => {}, stopSignal: () => stopSignal }
    const command = COMMANDS[name]
    if (!command) throw new Error(`the demo has no command ${name}`)
    // Right after the subcommand, because after `--` it would not be an option.
    const json = [...args.slice(0, 1), '--json', ...args.slice(1)]
    const run = prepare(command(createContext(quietIo)), quietIo).parseAsync(json, { from: 'user' })
    running.add(run)
    return run
  }

  return {
    /** Starts the server and resolves with its issuer once it is listening. */
    start(): Promise<string> {
      return new Promise((resolve, reject) => {
        run('serve', [], (text) => resolve(JSON.parse(text).issuer)).catch(reject)
      })
    },
    async command(name: string, ...args: string[]) {
      let output = ''
      await run(name, args, (text) => {
        output += text
      })
      return JSON.parse(output) as Record<string, string>
    },
    async stop() {
      stop('the end of the demo')
      await Promise.allSettled(running)
    },
  }
}
