/** What all commands share: settings, an open store, one way to print and one way to fail. Must not know any command. */

import { Command, InvalidArgumentError } from 'commander'
import { unlimited } from '../accounts/concurrency-limiter.ts'
import type { Admin } from '../admin/admin.ts'
import type { Changed } from '../admin/verbs.ts'
import { commandLine } from '../command-line.ts'
import { type Config, loadConfig } from '../config/load.ts'
import { duration, path } from '../config/parsers.ts'
import { differencesText } from '../config/shared.ts'
import { KeyturnError } from '../errors.ts'
import { type Keys, openKeys } from '../keys/index.ts'
import { createLogger } from '../log/logger.ts'
import { type Base, closeBase, openBase, type System } from '../node/base.ts'
import { assertRecorded, explainMissing } from '../node/expected-store.ts'
import { createStoreRecord, isForbidden } from '../node/store-record.ts'
import { printable } from '../printable.ts'
import { databaseName } from '../store/database-url.ts'
import { findRemains, listed } from '../store/remains.ts'
import type { Seconds } from '../system.ts'
import { holdAudit } from './held-audit.ts'
import type { Io } from './io.ts'
import type { ChosenServer } from './remote/server-url.ts'
import { openTerminal, type Terminal } from './terminal.ts'

/** The command was refused or failed. The message is one line; exit code 1. */
export class CommandError extends KeyturnError<'command_failed'> {
  /** Added to the JSON output. */
  readonly fields: Readonly<Record<string, unknown>>
  constructor(message: string, fields: Readonly<Record<string, unknown>> = {}) {
    super('command_failed', message)
    this.fields = fields
  }
}

/** The arguments are wrong. The message is one line; exit code 2. */
export class UsageError extends KeyturnError<'usage_error'> {
  constructor(message: string) {
    super('usage_error', message)
  }
}

/** The command failed and has already printed why; exit code 1. */
export class AlreadyReported extends KeyturnError<'already_reported'> {
  constructor() {
    super('already_reported', 'the command failed')
  }
}

export interface Context {
  readonly io: Terminal
  /** Who runs the command, as in the audit trail. */
  readonly actor: string
  /** What `--server` or `KEYTURN_SERVER` names; null if neither is given. */
  readonly server: ChosenServer | null
  config(): Config
  system(config: Config): System
  /** Opens the store, runs `work` and closes the store. */
  withStore<T>(work: (base: Base) => Promise<T>): Promise<T>
  /** Administration of the store of this command's settings, or of another server with `--server`. */
  withAdmin<T>(work: (admin: Admin) => Promise<T>): Promise<T>
  /** Prints what follows from a change, and returns the changed resource. */
  changed<T>(outcome: Changed<T>): T
  /** Opens the store, the master key and the key ring for the duration of `work`. */
  withKeys<T>(work: (base: Base, keys: Keys) => Promise<T>): Promise<T>
  /** Prints the value with `--json`, otherwise the text. */
  print(options: Json, value: unknown, text: string): void
  /** Prints a hint on standard error. */
  note(text: string): void
}

export type CommandFactory = (context: Context) => Command

/** @param server what `--server` or `KEYTURN_SERVER` names, if one of them is given */
export function createContext(given: Io, server: ChosenServer | null = null): Context {
  const io = openTerminal(given)
  const actor = `operator:${io.operator}`
  const note = (text: string): void => io.err(`note: ${printable(text)}\n`)

  function system(config: Config): System {
    const pretty = config.logPretty === 'auto' ? io.errIsTerminal : config.logPretty
    const logger = io.logger ?? createLogger({ level: config.logLevel, pretty, destination: 2 })
    return {
      logger,
      ...(io.clock ? { clock: io.clock } : {}),
      ...(io.generateKey ? { generateKey: io.generateKey } : {}),
      ...(io.failpoint ? { failpoint: io.failpoint } : {}),
      ...(io.flushDelay === undefined ? {} : { flushDelay: io.flushDelay }),
    }
  }

  /** @throws {UsageError} if the operator has asked for another server than that of this machine */
  function ownConfig(): Config {
    if (server?.explicit)
      throw new UsageError(
        'this command works on the database: run it on the host of the server, without --server',
      )
    return loadConfig(io.env, io.cwd)
  }

  async function withStore<T>(work: (base: Base) => Promise<T>): Promise<T> {
    const config = ownConfig()
    const { logger, ...others } = system(config)
    const audit = holdAudit(logger)
    const systemDeps = { ...others, logger: audit.logger }
    const base = await openBase(config, systemDeps, 'current').catch((error) => {
      throw explainMissing(error, config, createStoreRecord(config))
    })
    try {
      await assertOwnStore(base)
      return await work(base)
    } finally {
      await closeBase(base, systemDeps.logger)
      audit.release()
    }
  }

  /** Says which settings of the servers replace those of this command, because its statements about keys follow from them. */
  function noteReplaced({ replaced }: Base): void {
    if (replaced.length > 0)
      note(`the servers’ settings apply and not those of this command: ${differencesText(replaced)}`)
  }

  async function openRing(base: Base): Promise<Keys> {
    if ((await base.store.ring.read()) === null) {
      const place = databaseName(base.config.databaseUrl)
      const remains = await findRemains(base.store)
      throw new CommandError(
        remains.length > 0
          ? `the database at ${place} has no key ring, but rows in ${listed(remains)}: restore a backup`
          : `the database at ${place} has no key ring: ${commandLine('serve')} creates one`,
      )
    }
    noteReplaced(base)
    return openKeys(base)
  }

  return {
    io,
    actor,
    server,
    config: ownConfig,
    system,
    withStore,
    withKeys: (work) => withStore(async (base) => work(base, await openRing(base))),
    async withAdmin(work) {
      if (server) {
        const { openRemoteAdmin } = await import('./remote/open-remote-admin.ts')
        return work(openRemoteAdmin(io, server.url))
      }
      return withStore(async (base) => {
        // Loaded here, because `serve` does not need it.
        const { createLocalAdmin } = await import('../admin/local.ts')
        const keys = once(() => openRing(base))
        return work(createLocalAdmin({ ...base, keys, hashing: unlimited })({ name: actor, scopes: null }))
      })
    },
    changed({ value, notes }) {
      for (const text of notes) note(text)
      return value
    },
    print({ json }, value, text) {
      io.out(json ? `${JSON.stringify(value)}\n` : text.endsWith('\n') || text === '' ? text : `${text}\n`)
    },
    note,
  }
}

/** Calls the function at most once, when the result is first needed. */
function once<T>(create: () => Promise<T>): () => Promise<T> {
  let created: Promise<T> | undefined
  return () => {
    created ??= create()
    return created
  }
}

/** An operator who may not read the keys folder can still run the commands that need no key. */
async function assertOwnStore({ store, config, record }: Base): Promise<void> {
  try {
    record.recorded()
  } catch (error) {
    if (isForbidden(error)) return
    throw error
  }
  assertRecorded(await store.identity.read(), config, record)
}

/** A command that can be run, as opposed to a group of commands. All of them take `--json`. */
export function action(name: string, description: string): Command {
  return new Command(name).description(description).option('--json', 'print one JSON document')
}

/** The option that every command takes. */
export interface Json {
  readonly json?: boolean
}

/** Parser of repeatable options: `--role a --role b`. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

/** Parser of repeatable options whose values have no spaces: `--scope a --scope b` or `--scope "a b"`. Removes duplicates. */
export function collectWords(value: string, before: string[] = []): string[] {
  return [...new Set([...before, ...value.split(' ').filter(Boolean)])]
}

/**
 * @param command as it is typed
 * @throws {UsageError} if an update has no option that changes something
 */
export function assertChanges(command: string, changes: object): void {
  if (Object.keys(changes).length === 0)
    throw new UsageError(`nothing to change: see ${commandLine(`${command} --help`)}`)
}

/** Parser of names of files and folders, with the rules of settings. */
export function fileName(value: string): string {
  try {
    return path(value)
  } catch (error) {
    throw new InvalidArgumentError(`It ${(error as Error).message}.`)
  }
}

/** Parser of durations such as `5m`. */
export function durationOption(min: string, max: string): (value: string) => Seconds {
  const parse = duration(min, max)
  return (value) => {
    try {
      return parse(value)
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message)
    }
  }
}

/** Adds examples below the help of a command. */
export function examples(command: Command, ...lines: string[]): Command {
  return command.addHelpText(
    'after',
    `\nExamples:\n${lines.map((line) => `  $ ${commandLine(line)}`).join('\n')}`,
  )
}
