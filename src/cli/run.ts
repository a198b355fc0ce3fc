/** The list of commands, and how their errors become messages and exit codes. To add a command, add a file and a line below. */
import { Command, CommanderError } from 'commander'
import { DocumentError } from '../admin/declared/document-error.ts'
import { AdminError, PROBLEMS } from '../admin/errors.ts'
import { fields, PREFIX } from '../config/fields.ts'
import { ConfigError, SERVER_VARIABLE } from '../config/load.ts'
import { type ErrorCode, KeyturnError } from '../errors.ts'
import { printable } from '../printable.ts'
import { version } from '../version.ts'
import { readableArguments } from './arguments.ts'
import {
  AlreadyReported,
  CommandError,
  type CommandFactory,
  type Context,
  createContext,
  UsageError,
} from './context.ts'
import { explain } from './explain.ts'
import type { Io } from './io.ts'
import { table } from './output.ts'
import { prepare } from './prepare.ts'
import { type ChosenServer, takeServer } from './remote/server-url.ts'
import { openTerminal } from './terminal.ts'

/** Only the file of the command that runs is loaded, so that the others cost no time and no memory. */
const commands: Readonly<Record<string, () => Promise<CommandFactory>>> = {
  serve: async () => (await import('./serve.ts')).serveCommand,
  demo: async () => (await import('./demo.ts')).demoCommand,
  login: async () => (await import('./login.ts')).loginCommand,
  logout: async () => (await import('./logout.ts')).logoutCommand,
  keys: async () => (await import('./keys.ts')).keysCommand,
  'master-key': async () => (await import('./master-key.ts')).masterKeyCommand,
  apis: async () => (await import('./apis.ts')).apisCommand,
  clients: async () => (await import('./clients.ts')).clientsCommand,
  roles: async () => (await import('./roles.ts')).rolesCommand,
  users: async () => (await import('./users.ts')).usersCommand,
  sessions: async () => (await import('./sessions.ts')).sessionsCommand,
  apply: async () => (await import('./apply.ts')).applyCommand,
  dump: async () => (await import('./dump.ts')).dumpCommand,
  verifiers: async () => (await import('./verifiers.ts')).verifiersCommand,
  nodes: async () => (await import('./nodes.ts')).nodesCommand,
  audit: async () => (await import('./audit.ts')).auditCommand,
  export: async () => (await import('./export.ts')).exportCommand,
  backup: async () => (await import('./backup.ts')).backupCommand,
  restore: async () => (await import('./restore.ts')).restoreCommand,
  transfer: async () => (await import('./transfer.ts')).transferCommand,
  migrate: async () => (await import('./migrate.ts')).migrateCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
}

/** Commands about the process, the database or the files of a server, which its API does not have. */
const HOST_ONLY: readonly string[] = [
  'serve',
  'demo',
  'master-key',
  'export',
  'backup',
  'restore',
  'transfer',
  'migrate',
  'audit accept',
]

/** @param names the commands to load; all of them are needed for the help of the program and for suggestions */
export async function createProgram(
  context: Context,
  names: readonly string[] = Object.keys(commands),
): Promise<Command> {
  const program = new Command('keyturn')
    .description(
      'An OpenID Connect and OAuth 2 authorization server with rotating keys and tokens that verify offline.',
    )
    .version(version)
    .option(...SERVER_OPTION)
    .showSuggestionAfterError()
    .addHelpText('after', () => `\n${settingsHelp()}`)
  for (const load of names.flatMap((name) => commands[name] ?? []))
    program.addCommand(withServerOption((await load())(context)))
  prepare(program, context.io)
  return program
}

const HAS_NO_SESSION: readonly string[] = ['login', 'logout']

const SERVER_OPTION = [
  '--server <url>',
  `administer this server through its API; or set ${SERVER_VARIABLE}`,
] as const

/** For the help of each command: `takeServer` removes the option before commander reads the arguments. */
function withServerOption(command: Command, above: readonly string[] = []): Command {
  const path = [...above, command.name()]
  const acts = command.options.some(({ long }) => long === '--json')
  if (acts && !isHostOnly(path)) command.option(...SERVER_OPTION)
  for (const child of command.commands) withServerOption(child as Command, path)
  return command
}

const isHostOnly = (args: readonly string[]): boolean =>
  HOST_ONLY.some((name) => name.split(' ').every((word, i) => word === args[i]))

/** `doctor` belongs to the host that it runs on, so only `--server` makes it ask another one. */
const worksHere = (args: readonly string[], { explicit }: ChosenServer): boolean =>
  isHostOnly(args) || (args[0] === 'doctor' && !explicit)

/**
 * @param onStart called when the command has been loaded and has begun
 * @returns the exit code: 0 done, 1 refused or failed, 2 bad usage or configuration
 */
export async function run(given: readonly string[], io: Io, onStart: () => void = () => {}): Promise<number> {
  let context: Context | undefined
  try {
    const { args, server } = takeServer(given, io.env)
    context = createContext(io, server)
    const [name = ''] = args
    if (server?.explicit && isHostOnly(args))
      throw new UsageError(`this command works only on the host of a server: run it there, without --server`)
    const program = await createProgram(context, Object.hasOwn(commands, name) ? [name] : undefined)
    if (server && worksHere(args, server)) {
      const { note } = context
      program.hook('preAction', () =>
        note(`${SERVER_VARIABLE} does not apply: this command works on this machine`),
      )
    } else if (server && !HAS_NO_SESSION.includes(name)) {
      // Before a password is asked for in vain.
      program.hook('preAction', async () => {
        const { sessionFile } = await import('./remote/session-file.ts')
        sessionFile(io.env, server.url).read()
      })
    }
    const ended = program.parseAsync(readableArguments(program, args), { from: 'user' })
    onStart()
    await ended
    return await reportLostOutput(args, context.io)
  } catch (error) {
    return report(error, context?.io ?? openTerminal(io), given.includes('--json'))
  }
}

/** The output of `serve` only announces the server. The output of any other command is its result, so losing it is an error. */
async function reportLostOutput([name]: readonly string[], io: Io): Promise<number> {
  const reason = name === 'serve' ? null : ((await io.outputLost?.()) ?? null)
  if (reason === null) return 0
  io.err(`keyturn: the command is done, but its output could not be written (${reason})\n`)
  return 1
}

function settingsHelp(): string {
  const rows = Object.values(fields).map((field) => [`  ${PREFIX}${field.name}`, field.default, field.doc])
  const lines = table(['  SETTING', 'DEFAULT', 'MEANING'], rows)
  return `Settings are read from the environment or from a file .env in the working directory; see docs/settings.md.\n\n${lines}`
}

/** Usage errors exit with 2, all other errors with 1. */
const BAD_USAGE: readonly ErrorCode[] = [
  'usage_error',
  'invalid_server',
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
    // Names may begin with a hyphen, because other systems gave them.
    if (error.code === 'commander.unknownOption' && /'-[^-]/.test(error.message))
      io.err('A name that begins with a hyphen goes after --, as in: clients show -- -name\n')
    printJson({ error: error.message.replace(/^error: /, '') })
    return 2
  }
  if (error instanceof ConfigError) {
    for (const problem of error.problems) io.err(`keyturn: ${problem}\n`)
    printJson({ error: 'bad configuration', problems: error.problems })
    return 2
  }
  if (error instanceof DocumentError) {
    for (const problem of error.problems) io.err(`keyturn: ${printable(problem)}\n`)
    printJson({ error: 'the document is refused', problems: error.problems })
    return error.exitCode
  }
  const message = explain(error)
  io.err(`keyturn: ${message}\n`)
  // A bug in the program: the stack is needed to find it.
  if (error instanceof TypeError || error instanceof ReferenceError) io.err(`${error.stack}\n`)
  const hasFields = error instanceof CommandError || error instanceof AdminError
  printJson({ error: message, ...(hasFields ? error.fields : {}) })
  if (error instanceof AdminError) return PROBLEMS[error.problem].exitCode
  return error instanceof KeyturnError && BAD_USAGE.some((code) => code === error.code) ? 2 : 1
}
