/** The log: JSON lines on stderr, or lines for people on a terminal. Must not know what is worth logging. */
import pino, { type Logger as PinoLogger } from 'pino'
import pretty from 'pino-pretty'
import { createSink } from './log-sink.ts'

export interface LogOptions {
  readonly level: string
  readonly pretty: boolean
  /** A file descriptor or a path. */
  readonly destination: number | string
}

/** Members that must never be written, wherever a careless object carries them. */
const SECRETS = [
  'authorization',
  'cookie',
  'password',
  'client_secret',
  'client_assertion',
  'refresh_token',
  'access_token',
  'token',
  'code',
  'code_verifier',
]

export function createLogger({ level, pretty: people, destination }: LogOptions): PinoLogger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: SECRETS.flatMap((name) => [name, `*.${name}`, `headers.${name}`, `*.headers.${name}`]),
      remove: true,
    },
    serializers: {
      err: pino.stdSerializers.err,
      // Neither URL query nor headers: both may carry what no log should.
      req: (request: { method?: string; url?: string; ip?: string }) => ({
        method: request.method,
        path: request.url?.split('?', 1)[0],
        ip: request.ip,
      }),
    },
  }
  const sink = createSink(destination, (lines) => logger.warn({ lines }, 'log lines were lost'))
  const format = people
    ? pretty.prettyFactory({ colorize: true, translateTime: 'HH:MM:ss', ignore: 'pid,hostname' })
    : (line: string) => line
  const logger: PinoLogger = pino(options, { write: (line) => sink.write(format(line)) })
  return logger
}
