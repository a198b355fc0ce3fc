/** Compares docs/tracing.md with the program: every variable that has an effect, every attribute that is sent. */
import t from 'tap'
import { parse } from 'yaml'
import { TRACING_VARIABLES } from '../../src/config/tracing.ts'
import { read } from '../support/docs/documents.ts'
import { code, sourceFiles } from '../support/docs/source-imports.ts'
import { tracingConfig } from '../support/server/otlp.ts'

const page = read('docs/tracing.md')

/** The names in the first column of a table. */
function rows(heading: string): Map<string, string> {
  const section = page.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const found = new Map<string, string>()
  for (const [, names = '', second = ''] of section.matchAll(/^\| (`[^|]*) \| ([^|]*) \|/gm)) {
    for (const [, name = ''] of names.matchAll(/`([^`]+)`/g)) found.set(name, second.replaceAll('`', ''))
  }
  return found
}

t.test('the page lists exactly the environment variables that have an effect', async (t) => {
  const variables = rows('Settings')
  t.same([...variables.keys()].sort(), [...TRACING_VARIABLES].sort())
  // Every documented variable is read, and no other.
  const named = new Set(code('src/config/tracing.ts').match(/\bOTEL_[A-Z_]+[A-Z]\b/g))
  for (const name of named)
    t.ok(
      TRACING_VARIABLES.some((known) => known.startsWith(name)),
      name,
    )
})

t.test('the documented defaults are those of the program', async (t) => {
  const documented = rows('Settings')
  const { protocol, timeout, sampler, ratio, queue, batch, delay, resource } = tracingConfig({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318',
  })
  t.same(
    {
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_EXPORTER_OTLP_TIMEOUT: String(timeout),
      OTEL_SERVICE_NAME: resource['service.name'],
      OTEL_TRACES_SAMPLER: sampler,
      OTEL_TRACES_SAMPLER_ARG: String(ratio),
      OTEL_BSP_MAX_QUEUE_SIZE: String(queue),
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: String(batch),
      OTEL_BSP_SCHEDULE_DELAY: String(delay),
    },
    Object.fromEntries(
      [
        'OTEL_EXPORTER_OTLP_PROTOCOL',
        'OTEL_EXPORTER_OTLP_TIMEOUT',
        'OTEL_SERVICE_NAME',
        'OTEL_TRACES_SAMPLER',
        'OTEL_TRACES_SAMPLER_ARG',
        'OTEL_BSP_MAX_QUEUE_SIZE',
        'OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
        'OTEL_BSP_SCHEDULE_DELAY',
      ].map((name) => [name, documented.get(name)]),
    ),
  )
})

t.test('the page lists exactly the attributes that a span can have', async (t) => {
  const written = sourceFiles
    .filter((path) => path.startsWith('src/tracing/') && path !== 'src/tracing/open.ts')
    .flatMap((path) => code(path).match(/'[a-z]+\.[a-z_.]+[a-z]'/g) ?? [])
    .map((name) => name.slice(1, -1))
  const attributes = new Set(written.filter((name) => /^(http|url|server|db|error|keyturn)\./.test(name)))
  t.same([...rows('Attributes').keys()].sort(), [...attributes].sort())
})

t.test('the collector listens on the documented address', async (t) => {
  const { receivers, service } = parse(read('examples/monitoring/collector.yaml'))
  const port = receivers.otlp.protocols.http.endpoint.split(':')[1]
  t.match(page, `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:${port}`)
  t.match(read('examples/monitoring/README.md'), `:${port}`)
  t.same(service.pipelines.traces.receivers, ['otlp'])
})
