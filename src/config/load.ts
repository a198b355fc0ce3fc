/**
 * Environment → Config: the only code that reads settings. Reports every problem at once, so that a wrong
 * deployment is mended in one go, and refuses unknown `KEYTURN_*` names, so that a typo is never silent.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { distance } from 'fastest-levenshtein'
import type { Seconds } from '../system.ts'
import { type Field, type FieldName, fields } from './fields.ts'
import type { Logo } from './logo.ts'
import { isPostgresUrl, type TrustProxy } from './parsers.ts'
import { readTracing, type TracingConfig } from './tracing.ts'

export interface Config {
  /** Exactly as tokens and metadata carry it. */
  readonly issuer: string
  readonly host: string
  readonly port: number
  /** null: with everything else, and only for who is on this machine. */
  readonly metricsPort: number | null
  readonly databaseUrl: string
  readonly databasePool: number
  readonly databaseTimeout: Seconds
  readonly keysDir: string
  /** Set when it came from the environment or a file named there; otherwise `keysDir` has it. */
  readonly masterKey: Buffer | undefined
  /** As `masterKey`. */
  readonly masterKeyNext: Buffer | undefined
  readonly accessTokenTtl: Seconds
  readonly refreshTokenTtl: Seconds
  readonly refreshIdleTtl: Seconds
  readonly refreshGrace: Seconds
  readonly jwksMaxAge: Seconds
  readonly verifierCache: Seconds
  /** null: only when an administrator says so. */
  readonly keyRotation: Seconds | null
  readonly defaultAudience: string
  readonly statusTtl: Seconds
  readonly trustProxy: TrustProxy
  readonly shutdownDelay: Seconds
  readonly brandName: string
  readonly brandColor: string
  /** null: our own. */
  readonly brandLogo: Logo | null
  /** null: the log lines alone. */
  readonly auditRetention: Seconds | null
  readonly logLevel: string
  readonly logPretty: boolean | 'auto'
  /** null: nobody asks for traces. */
  readonly tracing: TracingConfig | null
}

/** All that is wrong with the settings, one line a problem; the program exits 2. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

const PREFIX = 'KEYTURN_'

type Values = { [K in FieldName]: (typeof fields)[K] extends Field<infer T> ? T | undefined : never }

/** @throws {ConfigError} naming every problem found. */
export function loadConfig(env: NodeJS.ProcessEnv, cwd: string): Config {
  const problems: string[] = []
  const given = { ...readDotEnv(cwd, problems), ...env }
  refuseUnknown(given, problems)

  const values: Partial<Record<FieldName, unknown>> = {}
  for (const [name, row] of Object.entries(fields) as [FieldName, Field<unknown>][]) {
    const value = row.secret ? readSecret(name, given, problems) : given[PREFIX + name]
    const text = value === undefined || value === '' ? row.default : value
    if (text === undefined) continue
    try {
      values[name] = row.parse(text)
    } catch (error) {
      problems.push(`${PREFIX}${name} ${(error as Error).message}`)
    }
  }
  // Each node would make a key of its own, and none could open what another has sealed.
  const asked = given.KEYTURN_MASTER_KEY || given.KEYTURN_MASTER_KEY_FILE
  if (isPostgresUrl(String(values.DATABASE_URL)) && !asked) {
    problems.push(
      'KEYTURN_MASTER_KEY or KEYTURN_MASTER_KEY_FILE is required with PostgreSQL: all nodes share it',
    )
  }
  const { PORT: port, METRICS_PORT: metricsPort } = values
  if (metricsPort !== undefined && metricsPort !== 0 && metricsPort === port)
    problems.push('KEYTURN_METRICS_PORT must differ from KEYTURN_PORT')
  const tracing = readTracing(given, problems)
  if (problems.length > 0) throw new ConfigError(problems)
  return build(values as Values, tracing)
}

function build(v: Values, tracing: TracingConfig | null): Config {
  // Every field with a default has parsed by now; `!` only tells the compiler so.
  const required = <T>(value: T | undefined): T => value as T
  const port = required(v.PORT)
  const issuer = v.ISSUER ?? `http://localhost:${port}`
  return Object.freeze({
    issuer,
    host: required(v.HOST),
    port,
    metricsPort: v.METRICS_PORT ?? null,
    databaseUrl: required(v.DATABASE_URL),
    databasePool: required(v.DATABASE_POOL),
    databaseTimeout: required(v.DATABASE_TIMEOUT),
    keysDir: required(v.KEYS_DIR),
    masterKey: v.MASTER_KEY,
    masterKeyNext: v.MASTER_KEY_NEXT,
    accessTokenTtl: required(v.ACCESS_TOKEN_TTL),
    refreshTokenTtl: required(v.REFRESH_TOKEN_TTL),
    refreshIdleTtl: required(v.REFRESH_IDLE_TTL),
    refreshGrace: required(v.REFRESH_GRACE),
    jwksMaxAge: required(v.JWKS_MAX_AGE),
    verifierCache: required(v.VERIFIER_CACHE),
    keyRotation: v.KEY_ROTATION ?? null,
    defaultAudience: v.DEFAULT_AUDIENCE ?? issuer,
    statusTtl: required(v.STATUS_TTL),
    trustProxy: required(v.TRUST_PROXY),
    shutdownDelay: required(v.SHUTDOWN_DELAY),
    brandName: required(v.BRAND_NAME),
    brandColor: required(v.BRAND_COLOR),
    brandLogo: v.BRAND_LOGO ?? null,
    auditRetention: v.AUDIT_RETENTION ?? null,
    logLevel: required(v.LOG_LEVEL),
    logPretty: required(v.LOG_PRETTY),
    tracing,
  })
}

/** The same settings on another port, for `KEYTURN_PORT=0`; an issuer that was derived from the port follows. */
export function onPort(config: Config, port: number): Config {
  const derived = `http://localhost:${config.port}`
  const follow = (value: string) => (value === derived ? `http://localhost:${port}` : value)
  return Object.freeze({
    ...config,
    port,
    issuer: follow(config.issuer),
    defaultAudience: follow(config.defaultAudience),
  })
}

function readDotEnv(cwd: string, problems: string[]): NodeJS.Dict<string> {
  const file = join(cwd, '.env')
  if (!existsSync(file)) return {}
  try {
    return parseEnv(readFileSync(file, 'utf8'))
  } catch (error) {
    problems.push(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
    return {}
  }
}

function readSecret(name: string, given: NodeJS.Dict<string>, problems: string[]): string | undefined {
  const direct = given[PREFIX + name]
  const file = given[`${PREFIX}${name}_FILE`]
  if (!file) return direct
  if (direct) {
    problems.push(`${PREFIX}${name} and ${PREFIX}${name}_FILE are both set: keep one`)
    return undefined
  }
  try {
    const text = readFileSync(file, 'utf8').trim()
    // Not "unset": going on with a default, such as a new master key, is not what was meant.
    if (text === '') problems.push(`${PREFIX}${name}_FILE is empty`)
    return text
  } catch (error) {
    problems.push(`${PREFIX}${name}_FILE cannot be read (${(error as NodeJS.ErrnoException).code})`)
    return undefined
  }
}

function refuseUnknown(given: NodeJS.Dict<string>, problems: string[]): void {
  const known = Object.entries(fields as Record<string, Field<unknown>>).flatMap(([name, row]) =>
    row.secret ? [PREFIX + name, `${PREFIX}${name}_FILE`] : [PREFIX + name],
  )
  for (const name of Object.keys(given)) {
    if (!name.startsWith(PREFIX) || known.includes(name)) continue
    const from = (other: string) => distance(name.toUpperCase(), other)
    const nearest = known.reduce((a, b) => (from(b) < from(a) ? b : a))
    problems.push(`${name} is not a setting; did you mean ${nearest}?`)
  }
}
