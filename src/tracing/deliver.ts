/**
 * Sends spans to the collector (OTLP/HTTP). A collector that is slow or down delays no request; only a server that stops
 * waits for it, for a short time. docs/dependencies.md says why no exporter of OpenTelemetry is used.
 */
import { setTimeout as wait } from 'node:timers/promises'
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
  hurry(): void
  /** Aborts the attempts that are under way. */
  cut(): void
}

/** OTLP/HTTP, "Retryable Response Codes". */
const BUSY: readonly number[] = [429, 502, 503, 504]
const FIRST_WAIT_MS = 1000
/** Bytes of an answer, of which only the number of rejected spans matters. */
const MAX_RESPONSE_BYTES = 65_536

const SERIALIZERS = {
  'http/protobuf': { serializer: ProtobufTraceSerializer, type: 'application/x-protobuf' },
  'http/json': { serializer: JsonTraceSerializer, type: 'application/json' },
} as const

const compress = promisify(gzip)

/** The collector will refuse the same spans again, so they are not sent again. */
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
  const hurried = new AbortController()
  let waiting = 0
  let lost = 0
  let trouble = false

  function lose(spans: number, err: Error): void {
    lost += spans
    // Logged once, not for every batch.
    if (!trouble) logger.warn({ err }, 'traces are being lost')
    trouble = true
  }

  async function post(body: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
    const response = await fetch(config.url, { method: 'POST', headers, body, redirect: 'error', signal })
    if (!response.ok) {
      await response.body?.cancel()
      const problem = `the collector answered ${response.status}`
      throw BUSY.includes(response.status) ? new Error(problem) : new ExportRejected(problem)
    }
    const answer = await readSome(response)
    const refused = answer.length === 0 ? 0 : Number(refusedSpans(answer))
    if (refused > 0) throw new ExportRejected(`the collector has refused ${refused} spans`)
  }

  /** 0 for an answer that is not OTLP. */
  function refusedSpans(answer: Uint8Array): number {
    try {
      return Number(serializer.deserializeResponse(answer).partialSuccess?.rejectedSpans ?? 0)
    } catch {
      return 0
    }
  }

  async function deliver(spans: ReadableSpan[], signal: AbortSignal): Promise<void> {
    const plain = serializer.serializeRequest(spans) as Uint8Array<ArrayBuffer>
    const body = config.gzip ? new Uint8Array(await compress(plain)) : plain
    for (let pause = FIRST_WAIT_MS; ; pause *= 2) {
      try {
        return await post(body, signal)
      } catch (error) {
        if (error instanceof ExportRejected || signal.aborted || hurried.signal.aborted) throw error
        const enough = AbortSignal.any([signal, hurried.signal])
        await wait(pause, undefined, { signal: enough }).catch(() => {
          throw error
        })
      }
    }
  }

  async function attempt(spans: ReadableSpan[], patience: AbortController): Promise<void> {
    const late = setTimeout(() => patience.abort(new Error('the collector takes too long')), config.timeout)
    try {
      await deliver(spans, patience.signal)
      if (trouble && waiting < config.queue / 2) {
        logger.info({ lost }, 'traces are delivered again')
        trouble = false
        lost = 0
      }
    } catch (error) {
      lose(spans.length, error as Error)
      throw error
    } finally {
      clearTimeout(late)
    }
  }

  return {
    queued() {
      if (waiting < config.queue) waiting += 1
      else lose(1, new Error('the queue is full'))
    },
    export(spans, settled) {
      waiting -= spans.length
      const patience = new AbortController()
      const work = attempt(spans, patience)
        .then(
          () => settled({ code: 0 }),
          (error: Error) => settled({ code: 1, error }),
        )
        .finally(() => running.delete(work))
      running.set(work, patience)
    },
    async shutdown() {
      await Promise.all(running.keys())
      if (lost > 0) logger.warn({ lost }, 'traces were lost')
    },
    hurry: () => hurried.abort(),
    cut() {
      for (const patience of running.values()) patience.abort(new Error('the server has stopped'))
    },
  }
}

async function readSome({ body }: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > MAX_RESPONSE_BYTES) return new Uint8Array()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
