/** The main job, step by step: real commands on a temporary folder, and a real server on a free port. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
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
import { story } from './demo-story.ts'
import type { Io } from './io.ts'
import { keysCommand } from './keys.ts'
import { prepare } from './prepare.ts'
import { serveCommand } from './serve.ts'

export const demoCommand: CommandFactory = (context) =>
  examples(
    action('demo', 'see it work: a token, a rotation, refusals; in a temporary folder').action(
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
  const tell = (text: string) => {
    if (!options.json) context.io.out(`${text}\n`)
  }
  const folder = mkdtempSync(join(context.io.env.TMPDIR ?? tmpdir(), 'keyturn-demo-'))
  const server = backstage(context.io, folder)
  try {
    tell(`Keyturn, step by step, in ${folder}\n`)
    await Promise.race([play(), interrupted(context.io)])
  } catch (error) {
    // A step that failed has been told; what else could fail is the stage itself.
    if (steps.every(({ ok }) => ok)) note({ step: 'the demo', ok: false, details: [String(error)] })
  } finally {
    await server.stop().catch(() => {})
    rmSync(folder, { recursive: true, force: true })
  }
  const ok = steps.every((step) => step.ok)
  tell(ok ? '\nAll of it held. Next: keyturn serve, or README.md.' : '\nNot all of it held.')
  if (options.json) context.print(options, { ok, steps }, '')
  if (!ok) throw new AlreadyReported()

  function note(step: Step): void {
    steps.push(step)
    tell(`${step.ok ? '✓' : '✗'} ${step.step}`)
    for (const line of step.details) tell(`    ${line}`)
  }

  async function step(title: string, work: () => Promise<readonly string[]>): Promise<void> {
    try {
      note({ step: title, ok: true, details: await work() })
    } catch (error) {
      note({ step: title, ok: false, details: [(error as Error).message] })
      throw error
    }
  }

  async function play(): Promise<void> {
    let issuer = ''
    await step('a server runs, with an embedded database and a key ring of its own', async () => {
      issuer = await server.start()
      return ['$ keyturn serve', issuer]
    })
    await story({ issuer, command: server.command, step })
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

/** The commands with settings of their own, whatever the environment says, and their output kept. */
function backstage(io: Io, folder: string) {
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
  let serving: Promise<unknown> = Promise.resolve()

  function run(name: string, args: string[], out: (text: string) => void): Promise<Command> {
    const quiet = { ...io, env, cwd: folder, out, err: () => {}, stopSignal: () => stopSignal }
    const command = COMMANDS[name]
    if (!command) throw new Error(`${name} is not on this stage`)
    // Before all else, because behind `--` it would be no option.
    const json = [...args.slice(0, 1), '--json', ...args.slice(1)]
    return prepare(command(createContext(quiet)), quiet).parseAsync(json, { from: 'user' })
  }

  return {
    /** Resolves with the issuer when the server says that it serves. */
    start(): Promise<string> {
      return new Promise((resolve, reject) => {
        serving = run('serve', [], (text) => resolve(JSON.parse(text).issuer))
        serving.catch(reject)
      })
    },
    async command(name: string, ...args: string[]) {
      let answer = ''
      await run(name, args, (text) => {
        answer += text
      })
      return JSON.parse(answer) as Record<string, string>
    },
    async stop() {
      stop('the end')
      await serving
    },
  }
}
