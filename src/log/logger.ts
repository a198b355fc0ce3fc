/** The log: JSON lines on stderr, or lines for people on a terminal. Must not know what is worth logging. */
import { createRequire } from 'node:module'
import pino, { type Logger as PinoLogger } from 'pino'
import { withoutSecrets } from './secrets.ts'
import { createSink } from './sink.ts'

export interface LogOptions {
  readonly level: string
  readonly pretty: boolean
  /** A file descriptor or a path. */
  readonly destination: number | string
}

export function createLogger({ level, pretty: people, destination }: LogOptions): PinoLogger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    // Not pino's `redact`: its list of paths is walked for every line, which cost more than all else about a line.
    formatters: { log: (fields: object) => withoutSecrets(fields) as Record<string, unknown> },
    serializers: {
      err: errorForLog,
      // Neither URL query nor headers: both may carry what no log should.
      req: (request: { method?: string; url?: string; ip?: string }) => ({
        method: request.method,
        path: request.url?.split('?', 1)[0],
        ip: request.ip,
      }),
    },
  }
  const sink = createSink(destination, (lines) => logger.warn({ lines }, 'log lines were lost'))
  const format = people ? linesForPeople() : (line: string) => line
  const logger: PinoLogger = pino(options, { write: (line) => sink.write(format(line)) })
  return logger
}

/** Loaded only for a terminal: a service would carry it for nothing. */
function linesForPeople(): (line: string) => string {
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty')
  return prettyFactory({ colorize: true, translateTime: 'HH:MM:ss', ignore: 'pid,hostname' })
}

/** Causes may be plain words. An error's own `code` is a name such as ENOSPC, and what one looks for first. */
function errorForLog(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause
  const { code, ...rest } = pino.stdSerializers.err(cause) as { code?: unknown }
  return { ...withoutSecrets(rest), ...(typeof code === 'string' ? { code } : {}) }
}
