/**
 * The settings of tracing, from the environment variables of OpenTelemetry, so that settings for all programs of a machine also
 * apply here. Must not know the OpenTelemetry SDK, which is configured only with this module's result. Problems are reported
 * only if tracing is on.
 */
import { assertVisible, count } from './parsers.ts'

export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const
type SamplerName = (typeof SAMPLERS)[number]

export const PROTOCOLS = ['http/protobuf', 'http/json'] as const
type Protocol = (typeof PROTOCOLS)[number]

export interface TracingConfig {
  readonly url: string
  readonly protocol: Protocol
  /** May contain the credentials of the collector. */
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds for one export, including all attempts. */
  readonly timeout: number
  readonly gzip: boolean
  /** Attributes of this process, which always include `service.name`. */
  readonly resource: Readonly<Record<string, string>>
  readonly sampler: SamplerName
  /** The fraction that the ratio samplers sample. */
  readonly ratio: number
  /** Whether a caller's trace is continued. */
  readonly continueTraces: boolean
  /** Whether samplers with `parentbased` follow the callers' decisions. Otherwise anyone could decide what is recorded. */
  readonly trustCallers: boolean
  /** Maximum number of queued spans. */
  readonly queue: number
  /** Maximum number of spans in one export. */
  readonly batch: number
  /** Milliseconds between exports. */
  readonly delay: number
}

type Parse<T> = (value: string) => T

/** The variable for traces, which takes precedence, and the variable for all signals. */
const otlpVariables = (name: string) => [`OTEL_EXPORTER_OTLP_TRACES_${name}`, `OTEL_EXPORTER_OTLP_${name}`]

/** All variables that are read; docs/tracing.md has a row for each. */
export const TRACING_VARIABLES = [
  ...['ENDPOINT', 'PROTOCOL', 'HEADERS', 'TIMEOUT', 'COMPRESSION'].flatMap(otlpVariables),
  'OTEL_SERVICE_NAME',
  'OTEL_RESOURCE_ATTRIBUTES',
  'OTEL_TRACES_SAMPLER',
  'OTEL_TRACES_SAMPLER_ARG',
  'OTEL_PROPAGATORS',
  'OTEL_BSP_SCHEDULE_DELAY',
  'OTEL_BSP_MAX_QUEUE_SIZE',
  'OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
  'OTEL_TRACES_EXPORTER',
  'OTEL_SDK_DISABLED',
] as const

/** The variables that may contain the credentials of the collector. */
export const CREDENTIAL_VARIABLES = otlpVariables('HEADERS')

/** Returns null if tracing is off. @param problems the list that problems are added to */
export function readTracing(env: NodeJS.Dict<string>, problems: string[]): TracingConfig | null {
  /** Parses the first of the variables that is set and not empty; otherwise returns the fallback. */
  function read<T>(names: readonly string[], parse: Parse<T>, fallback: T): T {
    const name = names.find((item) => env[item])
    if (name === undefined) return fallback
    try {
      const text = env[name] ?? ''
      assertVisible(text)
      return parse(text)
    } catch (error) {
      problems.push(`${name} ${(error as Error).message}`)
      return fallback
    }
  }

  const endpoints = otlpVariables('ENDPOINT')
  const requested = endpoints.some((name) => env[name])
  if (!requested || env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return null
  if (read(['OTEL_TRACES_EXPORTER'], oneOf(['otlp', 'none']), 'otlp') === 'none') return null
  const [tracesEndpoint = '', commonEndpoint = ''] = endpoints
  const resource = read(['OTEL_RESOURCE_ATTRIBUTES'], pairs, {})
  const name = env.OTEL_SERVICE_NAME || resource['service.name'] || 'keyturn'
  const batch = read(['OTEL_BSP_MAX_EXPORT_BATCH_SIZE'], count(1, 100_000), 512)
  return {
    url: env[tracesEndpoint]
      ? read([tracesEndpoint], url, '')
      : read([commonEndpoint], withPath('v1/traces'), ''),
    protocol: read(otlpVariables('PROTOCOL'), oneOf(PROTOCOLS), 'http/protobuf'),
    headers: {
      ...read(otlpVariables('HEADERS').slice(1), headers, {}),
      ...read(otlpVariables('HEADERS').slice(0, 1), headers, {}),
    },
    timeout: read(otlpVariables('TIMEOUT'), count(1, 600_000), 10_000),
    gzip: read(otlpVariables('COMPRESSION'), oneOf(['gzip', 'none']), 'none') === 'gzip',
    resource: { ...resource, 'service.name': name },
    sampler: read(['OTEL_TRACES_SAMPLER'], oneOf(SAMPLERS), 'parentbased_always_on'),
    ratio: read(['OTEL_TRACES_SAMPLER_ARG'], ratio, 1),
    continueTraces: read(['OTEL_PROPAGATORS'], list, ['tracecontext']).includes('tracecontext'),
    trustCallers: read(['OTEL_PROPAGATORS'], list, []).includes('tracecontext'),
    queue: Math.max(batch, read(['OTEL_BSP_MAX_QUEUE_SIZE'], count(1, 1_000_000), 2048)),
    batch,
    delay: read(['OTEL_BSP_SCHEDULE_DELAY'], count(1, 600_000), 5000),
  }
}

function url(value: string): string {
  const parsed = URL.canParse(value) ? new URL(value) : undefined
  if (!parsed || !/^https?:$/.test(parsed.protocol)) {
    throw new Error('must be an http or https URL such as http://localhost:4318')
  }
  // The value is not repeated, because it may contain a password.
  if (parsed.username || parsed.password) throw new Error('must not contain credentials: use the headers')
  return parsed.href
}

/** The base URL may end with a slash (OTLP Exporter, "Endpoint URLs for OTLP/HTTP"). */
const withPath =
  (path: string): Parse<string> =>
  (value) =>
    new URL(path, url(value).replace(/\/?$/, '/')).href

function oneOf<T extends string>(values: readonly T[]): Parse<T> {
  return (value) => {
    const found = values.find((item) => item === value.trim())
    if (found === undefined) throw new Error(`must be ${values.join(' or ')}`)
    return found
  }
}

function ratio(value: string): number {
  const parsed = /^(?:\d+\.?\d*|\.\d+)$/.test(value) ? Number(value) : Number.NaN
  if (!(parsed <= 1)) throw new Error('must be a number from 0 to 1')
  return parsed
}

const list: Parse<string[]> = (value) => value.split(',').map((item) => item.trim())

/** `name=value,name=value` as in W3C Baggage: values may be percent-encoded. */
function pairs(value: string): Record<string, string> {
  const found: [string, string][] = []
  for (const pair of list(value).filter(Boolean)) {
    const [, name = '', text = ''] = /^([^=\s]+)\s*=\s*(.*)$/.exec(pair) ?? []
    if (name === '') throw new Error('must be name=value pairs, separated by commas')
    found.push([name, decode(text)])
  }
  return Object.fromEntries(found)
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error('contains invalid percent-encoding')
  }
}

function headers(value: string): Record<string, string> {
  const found = pairs(value)
  try {
    new Headers(found)
  } catch {
    throw new Error('must be name=value pairs that are valid HTTP headers, separated by commas')
  }
  return found
}
