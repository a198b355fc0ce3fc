/**
 * Environment → Config: the only code that reads settings. It reports all problems at once, so that an operator can fix them
 * together, and refuses unknown `KEYTURN_*` names, so that typing errors are noticed.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { distance } from 'fastest-levenshtein'
import { KeyturnError } from '../errors.ts'
import { exposedMessage, readSecretFile } from '../secret-file.ts'
import { whyUnreadable, withoutFinalNewline } from '../text.ts'
import { parseEnvFile } from './env-file.ts'
import { type Field, fields, PREFIX, variablesOf } from './fields.ts'
import { serviceVariables } from './kubernetes.ts'
import { assertVisible, hasPassword, IN_MEMORY, isPostgresUrl } from './parsers.ts'
import { CREDENTIAL_VARIABLES, readTracing, type TracingConfig } from './tracing.ts'

type Settings = { readonly [K in keyof typeof fields]: ReturnType<(typeof fields)[K]['unset']> }

export interface Config extends Settings {
  /** Set by the variables of OpenTelemetry. null: tracing is off. */
  readonly tracing: TracingConfig | null
  /** Variables in the environment that are not settings, although they have the prefix: those of a Kubernetes service. */
  readonly ignoredVariables: readonly string[]
}

/** Which server commands administer through its API. It is no setting of a server: `src/cli/remote/server-url.ts` reads it. */
export const SERVER_VARIABLE = `${PREFIX}SERVER`

export interface LoadOptions {
  /** Whether the database may be in memory. Only tests set this: everything in it is lost when the process ends. */
  readonly inMemory?: boolean
}

/** All problems of the settings, one line each; the program exits with 2. */
export class ConfigError extends KeyturnError<'invalid_configuration'> {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super('invalid_configuration', problems.join('\n'))
    this.problems = problems
  }
}

const rows = Object.entries(fields) as [keyof Settings, Field<unknown>][]

/** @throws {ConfigError} with all problems */
export function loadConfig(
  env: NodeJS.ProcessEnv,
  cwd: string,
  { inMemory = false }: LoadOptions = {},
): Config {
  const problems: string[] = []
  const ignoredVariables = serviceVariables(env)
  const given = Object.entries(env).filter(([name]) => !ignoredVariables.includes(name))
  const dotEnv = readDotEnv(cwd, problems)
  // A file in some folder must not decide whose server an administrator changes.
  if (dotEnv[SERVER_VARIABLE] !== undefined)
    problems.push(`${SERVER_VARIABLE} must be in the environment of the administrator, and not in .env`)
  const variables: NodeJS.Dict<string> = { ...dotEnv, ...Object.fromEntries(given) }
  refuseUnknown(variables, problems)

  const values: Partial<Record<keyof Settings, unknown>> = {}
  for (const [key, row] of rows) {
    const text = readValue(row, variables, problems) || row.default
    if (text === undefined) continue
    try {
      assertVisible(text)
      values[key] = row.parse(text)
    } catch (error) {
      problems.push(`${PREFIX}${row.name} ${(error as Error).message}`)
    }
  }
  refuseContradictions(values, variables, problems)
  if (values.databaseUrl === IN_MEMORY && !inMemory)
    problems.push('KEYTURN_DATABASE_URL must name a file: a database in memory is lost when the process ends')
  const tracing = readTracing(variables, problems)
  if (problems.length > 0) throw new ConfigError(problems)
  // The order is that of the table, because a setting may be derived from one above it.
  for (const [key, row] of rows) {
    if (!(key in values)) values[key] = row.unset(values as Settings)
  }
  return Object.freeze({ ...(values as Settings), tracing, ignoredVariables })
}

function refuseContradictions(
  values: Partial<Record<keyof Settings, unknown>>,
  variables: NodeJS.Dict<string>,
  problems: string[],
): void {
  const hasMasterKey = variablesOf(fields.masterKey).some((name) => variables[name])
  // Otherwise each node would generate its own key, and nodes could not decrypt each other's data.
  if (isPostgresUrl(String(values.databaseUrl)) && !hasMasterKey) {
    problems.push(
      'KEYTURN_MASTER_KEY or KEYTURN_MASTER_KEY_FILE is required with PostgreSQL: all nodes share it',
    )
  }
  const { port, metricsPort, adminPort, mtlsPort } = values
  if (metricsPort !== undefined && metricsPort !== 0 && metricsPort === port)
    problems.push('KEYTURN_METRICS_PORT must differ from KEYTURN_PORT')
  if (adminPort !== undefined && adminPort !== 0 && [port, metricsPort].includes(adminPort))
    problems.push('KEYTURN_ADMIN_PORT must differ from KEYTURN_PORT and KEYTURN_METRICS_PORT')
  if (mtlsPort !== undefined && mtlsPort !== 0 && [port, metricsPort, adminPort].includes(mtlsPort))
    problems.push('KEYTURN_MTLS_PORT must differ from the other ports')
  refuseHalfTls(values, problems)
}

/** Settings of TLS that say only half of what is needed: otherwise a server would seem to be protected, and would not be. */
function refuseHalfTls(
  { tlsCertFile, tlsKeyFile, mtlsPort, tlsClientCaFile, issuer, trustProxy }: Record<string, unknown>,
  problems: string[],
): void {
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined))
    problems.push('KEYTURN_TLS_CERT_FILE and KEYTURN_TLS_KEY_FILE must be set together')
  if (tlsCertFile !== undefined && typeof issuer === 'string' && issuer.startsWith('http:'))
    problems.push('KEYTURN_ISSUER must be an https URL, because KEYTURN_TLS_CERT_FILE is set')
  if (mtlsPort !== undefined && tlsCertFile === undefined)
    problems.push('KEYTURN_MTLS_PORT needs KEYTURN_TLS_CERT_FILE and KEYTURN_TLS_KEY_FILE')
  // A number of proxies, or their addresses.
  if (tlsClientCaFile !== undefined && mtlsPort === undefined && (trustProxy ?? 0) === 0)
    problems.push(
      'KEYTURN_TLS_CLIENT_CA_FILE needs KEYTURN_MTLS_PORT, or a proxy in KEYTURN_TRUST_PROXY: otherwise no client certificate arrives',
    )
}

/** Returns the settings with the port that the system chose for `KEYTURN_PORT=0`, and with the issuer that contains this port. */
export function onPort(config: Config, port: number): Config {
  const scheme = config.tlsCertFile === null ? 'http' : 'https'
  const derived = `${scheme}://localhost:${config.port}`
  const withPort = (value: string) => (value === derived ? `${scheme}://localhost:${port}` : value)
  return Object.freeze({
    ...config,
    port,
    issuer: withPort(config.issuer),
    defaultAudience: withPort(config.defaultAudience),
  })
}

function readDotEnv(cwd: string, problems: string[]): NodeJS.Dict<string> {
  const file = join(cwd, '.env')
  if (!existsSync(file)) return {}
  try {
    const { text, exposed } = readSecretFile(file)
    const { variables, problems: unreadable } = parseEnvFile(text)
    for (const problem of unreadable) problems.push(`${file} ${problem}`)
    if (exposed && hasSecret(variables)) problems.push(exposedMessage(file))
    return variables
  } catch (error) {
    problems.push(`${file} ${whyUnreadable(error)}`)
    return {}
  }
}

/** Whether the variables contain a secret. A file without secrets may be readable by everyone. */
function hasSecret(variables: NodeJS.Dict<string>): boolean {
  return Object.entries(variables).some(([name, value = '']) => {
    if (value === '') return false
    if (name === PREFIX + fields.databaseUrl.name) return hasPassword(value)
    return SECRET_VARIABLES.includes(name)
  })
}

const SECRET_VARIABLES = [
  ...rows.filter(([, row]) => row.secret).map(([, row]) => PREFIX + row.name),
  ...CREDENTIAL_VARIABLES,
]

/** The text of a setting; undefined or empty if it is not set. */
function readValue(
  row: Field<unknown>,
  variables: NodeJS.Dict<string>,
  problems: string[],
): string | undefined {
  const [name = '', fileName = ''] = variablesOf(row)
  const direct = variables[name]
  const file = variables[fileName]
  if (!file) return direct
  if (direct) {
    problems.push(`${name} and ${fileName} are both set: keep one`)
    return undefined
  }
  try {
    const { text: content, exposed } = readSecretFile(file)
    if (exposed) {
      problems.push(`${fileName}: ${exposedMessage(file)}`)
      return undefined
    }
    const text = withoutFinalNewline(content)
    // An empty file is not treated as unset: a default, such as a new master key, would not be what the operator wants.
    if (text === '') problems.push(`${fileName} is empty`)
    return text
  } catch (error) {
    problems.push(`${fileName} ${whyUnreadable(error)}`)
    return undefined
  }
}

function refuseUnknown(variables: NodeJS.Dict<string>, problems: string[]): void {
  const known = rows.flatMap(([, row]) => variablesOf(row))
  for (const name of Object.keys(variables)) {
    if (!name.startsWith(PREFIX) || known.includes(name) || name === SERVER_VARIABLE) continue
    const distanceTo = (setting: string) => distance(name.toUpperCase(), setting)
    const nearest = known.reduce((a, b) => (distanceTo(b) < distanceTo(a) ? b : a))
    problems.push(`${name} is not a setting; did you mean ${nearest}?`)
  }
}
