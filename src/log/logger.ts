/** The log: JSON lines on standard error, or readable lines on a terminal. Must not know what is logged. */
import { createRequire } from 'node:module'
import pino, { type Logger as PinoLogger } from 'pino'
import { plainAddress } from '../ip-address.ts'
import { printableLines } from '../printable.ts'
import { withoutSecrets } from './secrets.ts'
import { createSink } from './sink.ts'

export interface LogOptions {
  readonly level: string
  readonly pretty: boolean
  /** A file descriptor or a path. */
  readonly destination: number | string
}

export function createLogger({ level, pretty, destination }: LogOptions): PinoLogger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    // Instead of pino's `redact`, which walks its list of paths for every line and takes longer than all other work for the line.
    formatters: { log: (fields: object) => withoutSecrets(fields) as Record<string, unknown> },
    serializers: {
      err: errorForLog,
      // The line has neither the query of the URL nor the headers, because both may contain secrets.
      req: (request: { method?: string; url?: string; ip?: string }) => ({
        method: request.method,
        path: request.url?.split('?', 1)[0],
        ip: plainAddress(request.ip ?? ''),
      }),
    },
  }
  const sink = createSink(destination, (lines) => logger.warn({ lines }, 'log lines were lost'))
  const format = pretty ? prettyLines() : (line: string) => line
  const logger: PinoLogger = pino(options, { write: (line) => sink.write(format(line)) })
  return logger
}

/** Loaded only for a terminal, because a service never uses it. */
function prettyLines(): (line: string) => string {
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty')
  const pretty = prettyFactory({ colorize: true, translateTime: 'HH:MM:ss', ignore: 'pid,hostname' })
  // Line feeds are kept for stack traces. The fields may contain what strangers have sent.
  const clean = (_: string, value: unknown) => (typeof value === 'string' ? printableLines(value) : value)
  return (line) => pretty(JSON.parse(line, clean))
}

/** The `code` of an error, such as ENOSPC, is logged, although in other objects `code` is a secret: an authorization code. */
function errorForLog(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause
  const { code, ...rest } = pino.stdSerializers.err(cause) as { code?: unknown }
  return { ...withoutSecrets(rest), ...(typeof code === 'string' ? { code } : {}) }
}
