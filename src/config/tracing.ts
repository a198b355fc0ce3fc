/**
 * The settings of tracing, from the environment variables that OpenTelemetry defines, so that what is set for all
 * programs of a machine also applies here. Must not know the OpenTelemetry SDK, which would read some of the variables
 * itself: it is configured only by this module's result. Problems are reported only if tracing is on.
 */
import { count } from './parsers.ts'

export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const
export type SamplerName = (typeof SAMPLERS)[number]

export const PROTOCOLS = ['http/protobuf', 'http/json'] as const
type Protocol = (typeof PROTOCOLS)[number]

export interface TracingConfig {
  readonly url: string
  readonly protocol: Protocol
  /** May contain the credentials of the collector. */
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds for one delivery, including all attempts. */
  readonly timeout: number
  readonly gzip: boolean
  /** Attributes of this process; always with `service.name`. */
  readonly resource: Readonly<Record<string, string>>
  readonly sampler: SamplerName
  /** Argument of the samplers that sample a part. */
  readonly ratio: number
  /** Whether the trace of a caller is continued. */
  readonly joins: boolean
  /** Spans that may wait for delivery, spans in one delivery, and milliseconds between deliveries. */
  readonly queue: number
  readonly batch: number
  readonly delay: number
}

type Parse<T> = (value: string) => T

/** `OTEL_EXPORTER_OTLP_X`, after the variable for traces only, which takes precedence. */
const both = (name: string) => [`OTEL_EXPORTER_OTLP_TRACES_${name}`, `OTEL_EXPORTER_OTLP_${name}`]

/** Every variable that is read; docs/tracing.md has a row for each. */
export const TRACING_VARIABLES = [
  ...['ENDPOINT', 'PROTOCOL', 'HEADERS', 'TIMEOUT', 'COMPRESSION'].flatMap(both),
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

/** null: tracing is off. @param problems list that problems are added to */
export function readTracing(given: NodeJS.Dict<string>, problems: string[]): TracingConfig | null {
  /** Parses the first of `names` that is set and not empty; otherwise the fallback. */
  function read<T>(names: readonly string[], parse: Parse<T>, fallback: T): T {
    const name = names.find((one) => given[one])
    if (name === undefined) return fallback
    try {
      return parse(given[name] ?? '')
    } catch (error) {
      problems.push(`${name} ${(error as Error).message}`)
      return fallback
    }
  }

  const endpoints = both('ENDPOINT')
  const requested = endpoints.some((name) => given[name])
  if (!requested || given.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return null
  if (read(['OTEL_TRACES_EXPORTER'], oneOf(['otlp', 'none']), 'otlp') === 'none') return null
  const [ofTraces = '', ofAll = ''] = endpoints
  const resource = read(['OTEL_RESOURCE_ATTRIBUTES'], pairs, {})
  const name = given.OTEL_SERVICE_NAME || resource['service.name'] || 'keyturn'
  const batch = read(['OTEL_BSP_MAX_EXPORT_BATCH_SIZE'], count(1, 100_000), 512)
  return {
    url: given[ofTraces] ? read([ofTraces], url, '') : read([ofAll], below('v1/traces'), ''),
    protocol: read(both('PROTOCOL'), oneOf(PROTOCOLS), 'http/protobuf'),
    headers: {
      ...read(both('HEADERS').slice(1), headers, {}),
      ...read(both('HEADERS').slice(0, 1), headers, {}),
    },
    timeout: read(both('TIMEOUT'), count(1, 600_000), 10_000),
    gzip: read(both('COMPRESSION'), oneOf(['gzip', 'none']), 'none') === 'gzip',
    resource: { ...resource, 'service.name': name },
    sampler: read(['OTEL_TRACES_SAMPLER'], oneOf(SAMPLERS), 'parentbased_always_on'),
    ratio: read(['OTEL_TRACES_SAMPLER_ARG'], ratio, 1),
    joins: read(['OTEL_PROPAGATORS'], list, ['tracecontext']).includes('tracecontext'),
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

/** With or without a slash at the end (OTLP Exporter, "Endpoint URLs for OTLP/HTTP"). */
const below =
  (path: string): Parse<string> =>
  (value) =>
    new URL(path, url(value).replace(/\/?$/, '/')).href

function oneOf<T extends string>(values: readonly T[]): Parse<T> {
  return (value) => {
    const found = values.find((one) => one === value.trim())
    if (found === undefined) throw new Error(`must be ${values.join(' or ')}`)
    return found
  }
}

function ratio(value: string): number {
  const parsed = /^(?:\d+\.?\d*|\.\d+)$/.test(value) ? Number(value) : Number.NaN
  if (!(parsed <= 1)) throw new Error('must be a number from 0 to 1')
  return parsed
}

const list: Parse<string[]> = (value) => value.split(',').map((one) => one.trim())

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
    throw new Error('has a % that is no valid percent-encoding')
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
