import { writeFileSync } from 'node:fs'
import t from 'tap'
import { ConfigError, loadConfig } from '../../src/config/load.ts'
import { PROTOCOLS, SAMPLERS } from '../../src/config/tracing.ts'

const TO = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }

const load = (env: Record<string, string>) => loadConfig(env, '/nonexistent').tracing

function problems(env: Record<string, string>): readonly string[] {
  try {
    load(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('tracing is off unless an endpoint is set, and can be turned off', async (t) => {
  t.equal(load({}), null)
  t.equal(load({ OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER: 'nonsense' }), null)
  t.equal(load({ OTEL_EXPORTER_OTLP_ENDPOINT: '' }), null, 'an empty value counts as unset')
  t.equal(load({ ...TO, OTEL_SDK_DISABLED: 'True' }), null)
  t.equal(load({ ...TO, OTEL_TRACES_EXPORTER: 'none' }), null)
  t.not(load({ ...TO, OTEL_SDK_DISABLED: 'false', OTEL_TRACES_EXPORTER: 'otlp' }), null)
})

t.test('unset options have the defaults of OpenTelemetry', async (t) => {
  t.same(load(TO), {
    url: 'http://collector:4318/v1/traces',
    protocol: 'http/protobuf',
    headers: {},
    timeout: 10_000,
    gzip: false,
    resource: { 'service.name': 'keyturn' },
    sampler: 'parentbased_always_on',
    ratio: 1,
    continueTraces: true,
    trustCallers: false,
    queue: 2048,
    batch: 512,
    delay: 5000,
  })
})

t.test('spans are sent below the common endpoint or exactly to the traces endpoint', async (t) => {
  for (const [endpoint, url] of [
    ['https://c.test', 'https://c.test/v1/traces'],
    ['https://c.test/', 'https://c.test/v1/traces'],
    ['https://c.test/otlp', 'https://c.test/otlp/v1/traces'],
    ['https://c.test/otlp/', 'https://c.test/otlp/v1/traces'],
  ] as const) {
    t.equal(load({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint })?.url, url)
  }
  const own = 'https://c.test/in?x=1'
  t.equal(load({ ...TO, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: own })?.url, own)
  t.equal(load({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://c.test' })?.url, 'https://c.test/')
})

t.test('settings for traces override common ones, and headers are merged', async (t) => {
  const both = (name: string, all: string, own: string) => ({
    [`OTEL_EXPORTER_OTLP_${name}`]: all,
    [`OTEL_EXPORTER_OTLP_TRACES_${name}`]: own,
  })
  const config = load({
    ...TO,
    ...both('PROTOCOL', 'grpc', 'http/json'),
    ...both('TIMEOUT', '1', '2'),
    ...both('COMPRESSION', 'none', 'gzip'),
    ...both('HEADERS', 'a=1, b=2', 'b=%20x%3D'),
  })
  t.match(config, { protocol: 'http/json', timeout: 2, gzip: true })
  t.same(config?.headers, { a: '1', b: ' x=' })
})

t.test('the service name comes from its own setting, then from the resource attributes', async (t) => {
  const OTEL_RESOURCE_ATTRIBUTES = 'service.name=login,deployment.environment.name=a%2Cb'
  t.same(load({ ...TO, OTEL_RESOURCE_ATTRIBUTES })?.resource, {
    'service.name': 'login',
    'deployment.environment.name': 'a,b',
  })
  const named = load({ ...TO, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME: 'front' })
  t.equal(named?.resource['service.name'], 'front')
})

t.test(
  'every sampler and protocol can be selected, and the queue is never smaller than a batch',
  async (t) => {
    for (const sampler of SAMPLERS) t.equal(load({ ...TO, OTEL_TRACES_SAMPLER: sampler })?.sampler, sampler)
    for (const protocol of PROTOCOLS)
      t.equal(load({ ...TO, OTEL_EXPORTER_OTLP_PROTOCOL: protocol })?.protocol, protocol)
    for (const arg of ['0', '1', '.5', '0.25'])
      t.equal(load({ ...TO, OTEL_TRACES_SAMPLER_ARG: arg })?.ratio, +arg)
    t.match(load({ ...TO, OTEL_BSP_MAX_QUEUE_SIZE: '10' }), { queue: 512, batch: 512 })
    t.equal(load({ ...TO, OTEL_PROPAGATORS: 'none' })?.continueTraces, false)
    t.equal(load({ ...TO, OTEL_PROPAGATORS: 'baggage, tracecontext' })?.continueTraces, true)
    t.equal(load({ ...TO, OTEL_PROPAGATORS: 'baggage, tracecontext' })?.trustCallers, true)
    t.equal(load({ ...TO, OTEL_PROPAGATORS: 'baggage' })?.trustCallers, false)
  },
)

t.test('invalid tracing settings are reported with all other problems and not repeated', async (t) => {
  const secret = 'hush-hush'
  const found = problems({
    KEYTURN_PORT: 'x',
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://user:${secret}@collector`,
    OTEL_EXPORTER_OTLP_HEADERS: `${secret}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_TIMEOUT: '10s',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'zstd',
    OTEL_RESOURCE_ATTRIBUTES: `a=%zz${secret}`,
    OTEL_TRACES_SAMPLER: 'jaeger_remote',
    OTEL_TRACES_SAMPLER_ARG: '1.5',
    OTEL_BSP_SCHEDULE_DELAY: '0',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '-1',
  })
  t.same(found.map((line) => line.split(' ')[0]).sort(), [
    'KEYTURN_PORT',
    'OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
    'OTEL_BSP_SCHEDULE_DELAY',
    'OTEL_EXPORTER_OTLP_COMPRESSION',
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'OTEL_EXPORTER_OTLP_HEADERS',
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    'OTEL_EXPORTER_OTLP_TIMEOUT',
    'OTEL_RESOURCE_ATTRIBUTES',
    'OTEL_TRACES_SAMPLER',
    'OTEL_TRACES_SAMPLER_ARG',
  ])
  t.notMatch(found.join('\n'), secret)
  for (const endpoint of ['collector:4317', 'localhost', '/v1/traces', 'ftp://c.test', 'grpc://c.test']) {
    t.match(problems({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }), [/^OTEL_EXPORTER_OTLP_ENDPOINT must be/])
    t.match(problems({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint }), [/TRACES_ENDPOINT must be an http/])
  }
  for (const value of ['a b=1', 'a=1\u0000', 'ä=1']) {
    t.match(problems({ ...TO, OTEL_EXPORTER_OTLP_HEADERS: value }), [/^OTEL_EXPORTER_OTLP_HEADERS must be/])
  }
})

t.test('tracing settings may come from a .env file, and the environment overrides it', async (t) => {
  const folder = t.testdir()
  writeFileSync(`${folder}/.env`, 'OTEL_EXPORTER_OTLP_ENDPOINT=http://file:1\nOTEL_SERVICE_NAME=file\n')
  const { tracing } = loadConfig({ OTEL_SERVICE_NAME: 'environment' }, folder)
  t.match(tracing, { url: 'http://file:1/v1/traces', resource: { 'service.name': 'environment' } })
})
