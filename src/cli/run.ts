/** The list of commands, and how their errors become messages and exit codes. To add a command, add a file and a line below. */
import { Command, CommanderError } from 'commander'
import { fields, PREFIX } from '../config/fields.ts'
import { ConfigError } from '../config/load.ts'
import { type ErrorCode, KeyturnError } from '../errors.ts'
import { version } from '../version.ts'
import { apisCommand } from './apis.ts'
import { auditCommand } from './audit.ts'
import { backupCommand } from './backup.ts'
import { clientsCommand } from './clients.ts'
import { AlreadyReported, CommandError, type CommandFactory, type Context, createContext } from './context.ts'
import { demoCommand } from './demo.ts'
import { doctorCommand } from './doctor.ts'
import { explain } from './explain.ts'
import { exportCommand } from './export.ts'
import type { Io } from './io.ts'
import { keysCommand } from './keys.ts'
import { masterKeyCommand } from './master-key.ts'
import { migrateCommand } from './migrate.ts'
import { nodesCommand } from './nodes.ts'
import { table } from './output.ts'
import { prepare } from './prepare.ts'
import { restoreCommand } from './restore.ts'
import { rolesCommand } from './roles.ts'
import { serveCommand } from './serve.ts'
import { sessionsCommand } from './sessions.ts'
import { transferCommand } from './transfer.ts'
import { usersCommand } from './users.ts'
import { verifiersCommand } from './verifiers.ts'

const commands: readonly CommandFactory[] = [
  serveCommand,
  demoCommand,
  keysCommand,
  masterKeyCommand,
  apisCommand,
  clientsCommand,
  rolesCommand,
  usersCommand,
  sessionsCommand,
  verifiersCommand,
  nodesCommand,
  auditCommand,
  exportCommand,
  backupCommand,
  restoreCommand,
  transferCommand,
  migrateCommand,
  doctorCommand,
]

export function createProgram(context: Context): Command {
  const program = new Command('keyturn')
    .description('An OAuth 2 authorization server with rotating keys and tokens that verify offline.')
    .version(version)
    .showSuggestionAfterError()
    .addHelpText('after', () => `\n${settingsHelp()}`)
  for (const command of commands) program.addCommand(command(context))
  prepare(program, context.io)
  return program
}

/** @returns the exit code: 0 done, 1 refused or failed, 2 bad usage or configuration */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const context = createContext(io)
  try {
    await createProgram(context).parseAsync(moveKidsToEnd(args), { from: 'user' })
    return await reportLostOutput(args, context.io)
  } catch (error) {
    return report(error, context.io, args.includes('--json'))
  }
}

/** The output of `serve` only announces the server. The result of any other command is missing without its output. */
async function reportLostOutput([name]: readonly string[], io: Io): Promise<number> {
  const reason = name === 'serve' ? null : ((await io.outputLost?.()) ?? null)
  if (reason === null) return 0
  io.err(`keyturn: the command is done, but its output could not be written (${reason})\n`)
  return 1
}

/** One kid in 64 begins with a dash and would be parsed as an option. No option has 43 characters, so such kids go after `--`. */
function moveKidsToEnd(args: readonly string[]): string[] {
  const isKid = (arg: string) => /^-[\w-]{42}$/.test(arg)
  const kids = args.includes('--') ? [] : args.filter(isKid)
  return kids.length === 0 ? [...args] : [...args.filter((arg) => !isKid(arg)), '--', ...kids]
}

function settingsHelp(): string {
  const rows = Object.values(fields).map((field) => [`  ${PREFIX}${field.name}`, field.default, field.doc])
  const lines = table(['  SETTING', 'DEFAULT', 'MEANING'], rows)
  return `Settings are read from the environment or from a file .env in the working directory; see README.md.\n\n${lines}`
}

/** Usage errors exit with 2, all other errors with 1. */
const BAD_USAGE: readonly ErrorCode[] = [
  'usage_error',
  'invalid_account',
  'invalid_redirect_uri',
  'invalid_client_metadata',
]

function report(error: unknown, io: Io, json: boolean): number {
  const printJson = (value: Record<string, unknown>) => {
    if (json) io.out(`${JSON.stringify(value)}\n`)
  }
  if (error instanceof AlreadyReported) return 1
  if (error instanceof CommanderError) {
    // Commander throws for --help and --version too, and has already printed its usage errors on standard error.
    if (error.exitCode === 0) return 0
    printJson({ error: error.message.replace(/^error: /, '') })
    return 2
  }
  if (error instanceof ConfigError) {
    for (const problem of error.problems) io.err(`keyturn: ${problem}\n`)
    printJson({ error: 'bad configuration', problems: error.problems })
    return 2
  }
  const message = explain(error)
  io.err(`keyturn: ${message}\n`)
  // A bug in the program: the stack is needed to find it.
  if (error instanceof TypeError || error instanceof ReferenceError) io.err(`${error.stack}\n`)
  printJson({ error: message, ...(error instanceof CommandError ? error.fields : {}) })
  return error instanceof KeyturnError && BAD_USAGE.some((code) => code === error.code) ? 2 : 1
}
