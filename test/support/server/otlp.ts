/** A trace collector like real ones: OTLP over HTTP, in JSON or protobuf, compressed or not. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { loadConfig } from '../../../src/config/load.ts'
import type { TracingConfig } from '../../../src/config/tracing.ts'
import { openTracing } from '../../../src/tracing/open.ts'
import type { Tracing } from '../../../src/tracing/tracing.ts'
import type { Owner } from '../processes/data-folder.ts'
import { testLogger } from './log.ts'
import { until } from './waiting.ts'

export interface SeenSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty for the first span of a trace. */
  readonly parentSpanId: string
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: readonly string[]
  /** 2 is an error. */
  readonly status: number
  readonly resource: Readonly<Record<string, unknown>>
}

interface Delivered {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** Uncompressed. */
  readonly body: Buffer
}

export interface Collector {
  readonly url: string
  readonly port: number
  readonly delivered: readonly Delivered[]
  spans(): SeenSpan[]
  /** Resolves when the spans for which `holds` is true have arrived. */
  until(condition: (spans: SeenSpan[]) => boolean): Promise<SeenSpan[]>
  /** Sets its further behaviour; the default response is 200. */
  answers(listener: RequestListener | null): void
}

export async function collector(owner: Owner): Promise<Collector> {
  const delivered: Delivered[] = []
  let answer: RequestListener | null = null
  const web = createServer(async (request, response) => {
    if (answer) return answer(request, response)
    const body = await bodyOf(request)
    delivered.push({ path: request.url ?? '', headers: request.headers, body })
    response.setHeader('content-type', request.headers['content-type'] ?? '').end()
  }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  owner.teardown(() => {
    web.closeAllConnections()
    web.close()
  })
  const { port } = web.address() as AddressInfo
  const spans = () => delivered.flatMap(decode)
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    delivered,
    spans,
    async until(condition) {
      await until(() => condition(spans()))
      return spans()
    },
    answers(listener) {
      answer = listener
    },
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  return request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
}

/** The configuration from these variables, in addition to the endpoint. */
export function tracingConfig(env: Record<string, string>): TracingConfig {
  const { tracing } = loadConfig(env, '/nonexistent')
  if (tracing === null) throw new Error('tracing is off')
  return tracing
}

/** For a test server. @param env variables of OpenTelemetry */
export function tracingTo(url: string, env: Record<string, string> = {}, logger = testLogger()): Tracing {
  const config = tracingConfig({
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '20',
    ...env,
  })
  return openTracing(config, {
    issuer: 'https://issuer.test',
    database: 'sqlite',
    nodeInfo: { hostname: 'here', pid: 7 },
    logger,
    monotonic: () => performance.now(),
  })
}

export function decode({ headers, body }: Delivered): SeenSpan[] {
  return headers['content-type'] === 'application/json' ? decodeJson(body) : decodeProtobuf(body)
}

interface Value {
  readonly stringValue?: string
  readonly intValue?: number | string
  readonly doubleValue?: number
  readonly boolValue?: boolean
}
interface Pair {
  readonly key: string
  readonly value: Value
}
interface JsonSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly Pair[]
  readonly events: readonly { name: string }[]
  readonly status: { readonly code: number }
}
interface Request {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Pair[] }
    readonly scopeSpans: readonly { readonly spans: readonly JsonSpan[] }[]
  }[]
}

const plain = ({ stringValue, intValue, doubleValue, boolValue }: Value): unknown =>
  stringValue ?? (intValue === undefined ? (doubleValue ?? boolValue) : Number(intValue))
const record = (pairs: readonly Pair[]) =>
  Object.fromEntries(pairs.map(({ key, value }) => [key, plain(value)]))

function decodeJson(body: Buffer): SeenSpan[] {
  const { resourceSpans } = JSON.parse(body.toString('utf8')) as Request
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        name: span.name,
        kind: span.kind,
        start: BigInt(span.startTimeUnixNano),
        end: BigInt(span.endTimeUnixNano),
        attributes: record(span.attributes),
        events: span.events.map(({ name }) => name),
        status: span.status.code,
        resource: record(resource.attributes),
      })),
    ),
  )
}

type Field = readonly [number: number, value: bigint | Buffer]

/** The protobuf wire format, as far as trace.proto needs it. */
function fieldsOf(bytes: Buffer): Field[] {
  const fields: Field[] = []
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at] ?? 0
      at += 1
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const [number, type] = [tag >> 3, tag & 7]
    if (type === 0) fields.push([number, varint()])
    else if (type === 1) {
      fields.push([number, bytes.readBigUInt64LE(at)])
      at += 8
    } else if (type === 2) {
      const length = Number(varint())
      fields.push([number, bytes.subarray(at, at + length)])
      at += length
    } else {
      fields.push([number, BigInt(bytes.readUInt32LE(at))])
      at += 4
    }
  }
  return fields
}

/** Field numbers of opentelemetry/proto/trace/v1/trace.proto. */
function decodeProtobuf(body: Buffer): SeenSpan[] {
  const all = (bytes: Buffer, number: number) =>
    fieldsOf(bytes).flatMap(([n, value]) => (n === number && Buffer.isBuffer(value) ? [value] : []))
  const one = (bytes: Buffer, number: number) => all(bytes, number)[0] ?? Buffer.alloc(0)
  const count = (bytes: Buffer, number: number) =>
    (fieldsOf(bytes).find(([n]) => n === number)?.[1] as bigint | undefined) ?? 0n
  const pairs = (bytes: Buffer, number: number) =>
    Object.fromEntries(
      all(bytes, number).map((pair) => {
        const value = one(pair, 2)
        const text = one(value, 1)
        return [one(pair, 1).toString(), text.length > 0 ? text.toString() : Number(count(value, 3))]
      }),
    )
  return all(body, 1).flatMap((resourceSpans) =>
    all(resourceSpans, 2).flatMap((scopeSpans) =>
      all(scopeSpans, 2).map((span) => ({
        traceId: one(span, 1).toString('hex'),
        spanId: one(span, 2).toString('hex'),
        parentSpanId: one(span, 4).toString('hex'),
        name: one(span, 5).toString(),
        kind: Number(count(span, 6)),
        start: count(span, 7),
        end: count(span, 8),
        attributes: pairs(span, 9),
        events: all(span, 11).map((event) => one(event, 2).toString()),
        status: Number(count(one(span, 15), 3)),
        resource: pairs(one(resourceSpans, 1), 1),
      })),
    ),
  )
}
