/** Traces of a real process, and failing collectors: only the operator may notice. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { seededFolder } from '../support/processes/data-folder.ts'
import { startServer } from '../support/processes/process.ts'
import { freePort } from '../support/server/free-port.ts'
import { type TestLogger, testLogger } from '../support/server/log.ts'
import { collector, decode, tracingTo } from '../support/server/otlp.ts'
import { clientCredentials } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { turns, until } from '../support/server/waiting.ts'

const NAMING = fileURLToPath(new URL('./module-listing-keyturn.ts', import.meta.url))

/** Without the CommonJS build of the API, which prom-client loads for exemplars. */
const TRACING_MODULES = /loaded .*(@opentelemetry\/(?!api\/.*\.cjs$)|\/tracing\/(?!tracing\.ts$)).*/gm

/** What is logged about traces, and how often. */
const traceMessages = ({ lines }: TestLogger) =>
  lines.flatMap(({ level, message, fields }) =>
    message?.startsWith('traces') ? [[level, message, fields.lost]] : [],
  )

/** A server that exports spans as soon as there are some. */
async function started(t: Test, url: string, env: Record<string, string> = {}) {
  const logger = testLogger()
  const tracing = tracingTo(url, { OTEL_BSP_SCHEDULE_DELAY: '1', ...env }, logger)
  const server = await testServer({ tracing })
  t.teardown(() => server.close())
  await seed(server.store)
  await server.poll()
  return { server, tracing, logger }
}

/** A few requests, all of which must succeed. */
async function requests(t: Test, server: Parameters<typeof clientCredentials>[0], count: number) {
  const answers = await Promise.all(Array.from({ length: count }, () => clientCredentials(server)))
  t.ok(
    answers.every(({ statusCode }) => statusCode === 200),
    'granted',
  )
}

t.test('a process exports spans as configured, and the remaining ones when it stops', async (t) => {
  const otlp = await collector(t)
  const folder = await seededFolder(t)
  const server = await startServer(t, folder, {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `${otlp.url}/otlp`,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20hush-hush',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
      OTEL_SERVICE_NAME: 'login',
      OTEL_BSP_SCHEDULE_DELAY: '600000',
    },
  })
  await requests(t, server, 3)
  t.equal(otlp.delivered.length, 0, 'not yet')
  t.equal((await server.stop()).code, 0)
  const [delivery] = otlp.delivered
  t.equal(delivery?.path, '/otlp/v1/traces')
  t.match(delivery?.headers, {
    authorization: 'Bearer hush-hush',
    'content-type': 'application/x-protobuf',
    'content-encoding': 'gzip',
  })
  const spans = otlp.spans().filter(({ kind }) => kind === 2)
  t.same(
    spans.map(({ name, attributes }) => [name, attributes['http.response.status_code']]),
    Array.from({ length: 3 }, () => ['POST /oauth2/token', 200]),
  )
  t.match(spans[0]?.resource, { 'service.name': 'login', 'deployment.environment.name': 'test' })
  t.match(spans[0]?.resource['service.instance.id'], new RegExp(`:${server.pid}$`))
  const log = server.stderr()
  const lines = log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const issued = lines.filter(({ audit }) => audit === 'token.issued')
  t.same(issued.map(({ trace_id }) => trace_id).sort(), spans.map(({ traceId }) => traceId).sort())
  t.notMatch(log, 'hush-hush')
})

t.test('no OpenTelemetry module is loaded unless tracing is enabled', async (t) => {
  const folder = await seededFolder(t)
  const loaded = async (env: Record<string, string>) => {
    const server = await startServer(t, folder, { env, entry: NAMING })
    await requests(t, server, 1)
    await server.stop()
    return server.stderr()
  }
  const to = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }
  for (const env of [{ OTEL_SERVICE_NAME: 'x' }, { ...to, OTEL_SDK_DISABLED: 'true' }]) {
    const log = await loaded(env)
    t.ok(/loaded .*fastify/.test(log), 'the losses are logged')
    t.same(log.match(TRACING_MODULES), null)
  }
  t.ok((await loaded(to)).match(TRACING_MODULES), 'the check detects OpenTelemetry if it is loaded')
})

t.test('an unreachable collector is logged once and delays nothing', async (t) => {
  const port = await freePort()
  const folder = await seededFolder(t)
  const server = await startServer(t, folder, {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_BSP_SCHEDULE_DELAY: '1' },
  })
  for (let i = 0; i < 5; i += 1) await requests(t, server, 4)
  t.equal((await server.stop()).code, 0)
  const lines = server
    .stderr()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const traceLines = lines.filter(({ msg }) => /^traces/.test(msg))
  t.same(
    traceLines.map(({ msg }) => msg),
    ['traces are being lost', 'traces were lost'],
  )
  t.match(JSON.stringify(traceLines[0].err), /ECONNREFUSED/)
  t.ok(traceLines[1].lost >= 40)
})

t.test('an unresponsive collector does not delay a stop', async (t) => {
  const sockets = new Set<{ destroy(): void }>()
  const tarpit = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
  })
  await new Promise<void>((resolve) => tarpit.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    tarpit.close()
  })
  const { port } = tarpit.address() as { port: number }
  const folder = await seededFolder(t)
  const server = await startServer(t, folder, {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_TIMEOUT: '600000',
      OTEL_BSP_SCHEDULE_DELAY: '1',
    },
  })
  await requests(t, server, 10)
  while (sockets.size === 0) await requests(t, server, 1)
  // The collector is given ten minutes, and the runner gives a test less.
  t.same(await server.stop(), { code: 0, signal: null })
  t.match(server.stderr(), /"traces were lost"/)
})

t.test('a slow collector gets what fits into the queue, and the loss is logged once', async (t) => {
  const otlp = await collector(t)
  let open: (() => void) | undefined
  otlp.answers((_request, response) => {
    open = () => response.end()
  })
  const env = { OTEL_BSP_MAX_QUEUE_SIZE: '20', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10' }
  const { server, tracing, logger } = await started(t, otlp.url, env)
  for (let i = 0; i < 10; i += 1) await requests(t, server, 10)
  t.same(traceMessages(logger), [['warn', 'traces are being lost', undefined]])
  while (!open) await requests(t, server, 1)
  otlp.answers(null)
  open()
  await otlp.until((spans) => spans.length >= 20)
  await tracing.stop()
  t.ok(otlp.spans().length < 40, 'the spans in memory are bounded')
  t.same(
    traceMessages(logger).map(([level, message]) => [level, message]),
    [
      ['warn', 'traces are being lost'],
      ['info', 'traces are delivered again'],
    ],
  )
  t.ok(Number(traceMessages(logger)[1]?.[2]) > 150)
})

t.test('spans are sent again to a busy collector', async (t) => {
  const otlp = await collector(t)
  const asked: Buffer[] = []
  otlp.answers(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    asked.push(Buffer.concat(chunks))
    response.writeHead(asked.length === 1 ? 503 : 200).end()
  })
  const { server, tracing, logger } = await started(t, otlp.url, { OTEL_BSP_SCHEDULE_DELAY: '50' })
  await requests(t, server, 1)
  await until(() => asked.length === 2)
  await tracing.stop()
  t.same(asked[0], asked[1])
  t.same(traceMessages(logger), [])
})

t.test(
  'spans are not sent again to a collector that refuses them, and redirects are not followed',
  async (t) => {
    const elsewhere = await collector(t)
    for (const [status, headers] of [
      [401, {}],
      [404, {}],
      [307, { location: `${elsewhere.url}/v1/traces` }],
    ] as const) {
      const otlp = await collector(t)
      let asked = 0
      otlp.answers((_request, response) => {
        asked += 1
        response.writeHead(status, headers).end('hush-hush')
      })
      const env = { OTEL_BSP_SCHEDULE_DELAY: '600000', OTEL_EXPORTER_OTLP_HEADERS: 'x-key=hush-hush' }
      const { server, tracing, logger } = await started(t, otlp.url, env)
      await requests(t, server, 1)
      await tracing.stop()
      t.equal(asked, 1, String(status))
      t.match(traceMessages(logger), [
        ['warn', 'traces are being lost'],
        ['warn', 'traces were lost'],
      ])
      t.notMatch(JSON.stringify(logger.lines), 'hush-hush')
    }
    t.same(elsewhere.delivered, [])
  },
)

t.test('only the spans that a collector rejects in a partial success are lost', async (t) => {
  const otlp = await collector(t)
  otlp.answers((_request, response) =>
    response
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ partialSuccess: { rejectedSpans: '3', errorMessage: 'hush-hush' } })),
  )
  const { server, tracing, logger } = await started(t, otlp.url, { OTEL_BSP_SCHEDULE_DELAY: '600000' })
  await requests(t, server, 1)
  await tracing.stop()
  t.match(logger.lines[0]?.fields.err, { message: 'the collector rejected 3 spans' })
})

t.test('a collector’s response is read up to a limit', async (t) => {
  const otlp = await collector(t)
  let sent = 0
  otlp.answers((_request, response) => {
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536))) sent += 65_536
    }
    response.on('drain', more)
    more()
  })
  const { server, tracing, logger } = await started(t, otlp.url)
  await requests(t, server, 1)
  await tracing.stop()
  t.ok(sent < 30_000_000)
  t.same(traceMessages(logger), [])
})

t.test('a request whose client disconnected has a span without a status code', async (t) => {
  const otlp = await collector(t)
  const { server, tracing } = await started(t, otlp.url)
  const address = await server.app.listen({ port: 0, host: '127.0.0.1' })
  const disconnected = new AbortController()
  const arrived = once(server.app.server, 'request')
  const asked = fetch(`${address}/oauth2/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': '1000' },
    body: new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from('grant_type=')) }),
    duplex: 'half',
    signal: disconnected.signal,
  } as RequestInit).catch((error) => error)
  await arrived
  await turns()
  disconnected.abort()
  await asked
  const spans = await otlp.until((all) => all.some(({ kind }) => kind === 2))
  t.equal(spans.find(({ kind }) => kind === 2)?.name, 'POST /oauth2/token')
  await tracing.stop()
})

t.test('protobuf and JSON exports carry the same spans', async (t) => {
  const seen = []
  for (const protocol of ['http/protobuf', 'http/json']) {
    const otlp = await collector(t)
    const { server, tracing } = await started(t, otlp.url, { OTEL_EXPORTER_OTLP_PROTOCOL: protocol })
    await requests(t, server, 1)
    await tracing.stop()
    const spans = otlp.delivered.flatMap(decode)
    seen.push(
      spans.map(({ name, kind, status, events, attributes, parentSpanId }) => ({
        name,
        kind,
        status,
        events,
        attributes: { ...attributes, 'keyturn.request_id': undefined },
        top: parentSpanId === '',
      })),
    )
  }
  t.same(seen[0], seen[1])
  t.ok((seen[0]?.length ?? 0) > 3)
})
