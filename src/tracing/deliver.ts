/**
 * Sends spans to the collector (OTLP/HTTP). A collector that is slow or down delays no request; only a server that stops
 * waits for it, for a short time. docs/internals/dependencies.md explains why no exporter of OpenTelemetry is used.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import type { TracingConfig } from '../config/tracing.ts'
import { KeyturnError } from '../errors.ts'
import type { Logger } from '../system.ts'
import { version } from '../version.ts'

export interface Delivery extends SpanExporter {
  /** Counts a span that goes into the queue, or is lost because the queue is full. */
  queued(): void
  /** Ends all retries: attempts that are under way may finish, and spans whose attempt fails are lost. */
  stopRetrying(): void
  /** Aborts the attempts that are under way. */
  abort(): void
}

/** OTLP/HTTP, "Retryable Response Codes". */
const RETRYABLE_STATUSES: readonly number[] = [429, 502, 503, 504]
const FIRST_RETRY_DELAY_MS = 1000
/** Bytes of a response. Only its number of rejected spans is used. */
const MAX_RESPONSE_BYTES = 65_536

const SERIALIZERS = {
  'http/protobuf': { serializer: ProtobufTraceSerializer, type: 'application/x-protobuf' },
  'http/json': { serializer: JsonTraceSerializer, type: 'application/json' },
} as const

const compress = promisify(gzip)

/** The collector would reject the same spans again, so they are not sent again. */
class ExportRejected extends KeyturnError<'trace_export_rejected'> {
  constructor(message: string) {
    super('trace_export_rejected', message)
  }
}

export function createDelivery(config: TracingConfig, logger: Logger): Delivery {
  const { serializer, type } = SERIALIZERS[config.protocol]
  const headers = {
    'user-agent': `keyturn/${version}`,
    ...config.headers,
    'content-type': type,
    ...(config.gzip ? { 'content-encoding': 'gzip' } : {}),
  }
  const running = new Map<Promise<void>, AbortController>()
  const noRetries = new AbortController()
  let waiting = 0
  let lost = 0
  let failing = false

  function lose(spans: number, err: Error): void {
    lost += spans
    // Logged once, not for every batch.
    if (!failing) logger.warn({ err }, 'traces are being lost')
    failing = true
  }

  async function post(body: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
    const response = await fetch(config.url, { method: 'POST', headers, body, redirect: 'error', signal })
    if (!response.ok) {
      await response.body?.cancel()
      const problem = `the collector responded with ${response.status}`
      throw RETRYABLE_STATUSES.includes(response.status) ? new Error(problem) : new ExportRejected(problem)
    }
    const responseBody = await readLimited(response)
    const rejected = responseBody.length === 0 ? 0 : Number(countRejected(responseBody))
    if (rejected > 0) throw new ExportRejected(`the collector rejected ${rejected} spans`)
  }

  /** 0 if the response is not OTLP. */
  function countRejected(responseBody: Uint8Array): number {
    try {
      return Number(serializer.deserializeResponse(responseBody).partialSuccess?.rejectedSpans ?? 0)
    } catch {
      return 0
    }
  }

  async function deliver(spans: ReadableSpan[], signal: AbortSignal): Promise<void> {
    const plain = serializer.serializeRequest(spans) as Uint8Array<ArrayBuffer>
    const body = config.gzip ? new Uint8Array(await compress(plain)) : plain
    for (let delay = FIRST_RETRY_DELAY_MS; ; delay *= 2) {
      try {
        return await post(body, signal)
      } catch (error) {
        if (error instanceof ExportRejected || signal.aborted || noRetries.signal.aborted) throw error
        const interrupted = AbortSignal.any([signal, noRetries.signal])
        await sleep(delay, undefined, { signal: interrupted }).catch(() => {
          throw error
        })
      }
    }
  }

  async function attempt(spans: ReadableSpan[], aborter: AbortController): Promise<void> {
    const timer = setTimeout(() => aborter.abort(new Error('the collector timed out')), config.timeout)
    try {
      await deliver(spans, aborter.signal)
      if (failing && waiting < config.queue / 2) {
        logger.info({ lost }, 'traces are delivered again')
        failing = false
        lost = 0
      }
    } catch (error) {
      lose(spans.length, error as Error)
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    queued() {
      if (waiting < config.queue) waiting += 1
      else lose(1, new Error('the queue is full'))
    },
    export(spans, settled) {
      waiting -= spans.length
      const aborter = new AbortController()
      const work = attempt(spans, aborter)
        .then(
          () => settled({ code: 0 }),
          (error: Error) => settled({ code: 1, error }),
        )
        .finally(() => running.delete(work))
      running.set(work, aborter)
    },
    async shutdown() {
      await Promise.all(running.keys())
      if (lost > 0) logger.warn({ lost }, 'traces were lost')
    },
    stopRetrying: () => noRetries.abort(),
    abort() {
      for (const aborter of running.values()) aborter.abort(new Error('the server has stopped'))
    },
  }
}

async function readLimited({ body }: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > MAX_RESPONSE_BYTES) return new Uint8Array()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
