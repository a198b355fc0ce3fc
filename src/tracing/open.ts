/** Traces with OpenTelemetry. Only a server with tracing turned on loads this file and the packages that it needs. */
import { TraceFlags } from '@opentelemetry/api'
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  RandomIdGenerator,
  type Sampler,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { TracingConfig } from '../config/tracing.ts'
import type { Logger, Monotonic } from '../system.ts'
import { version } from '../version.ts'
import { createDelivery, type Delivery } from './deliver.ts'
import { traceRequest } from './request-span.ts'
import { createSpans } from './spans.ts'
import { traceAudit } from './trace-audit.ts'
import { traceLogger } from './trace-log.ts'
import { traceStore } from './trace-store.ts'
import {
  traceConcurrencyLimiter,
  traceFetchJwks,
  traceJobs,
  traceSendLogoutToken,
  traceSigner,
} from './trace-work.ts'
import type { Tracing } from './tracing.ts'

/** How long a stopping server waits for the collector. */
const FLUSH_TIMEOUT_MS = 2000

export interface TracingOptions {
  readonly issuer: string
  /** The value of `db.system.name`. */
  readonly database: 'sqlite' | 'postgresql'
  readonly nodeInfo: { readonly hostname: string; readonly pid: number }
  readonly logger: Logger
  readonly monotonic: Monotonic
}

export function openTracing(config: TracingConfig, options: TracingOptions): Tracing {
  const { issuer, database, nodeInfo, logger, monotonic } = options
  const delivery = createDelivery(config, logger)
  const provider = new TracerProvider({
    resource: defaultResource().merge(
      resourceFromAttributes({
        'service.version': version,
        'service.instance.id': `${nodeInfo.hostname}:${nodeInfo.pid}`,
        ...config.resource,
      }),
    ),
    sampler: samplerOf(config),
    spanProcessors: [countingProcessor(delivery, config)],
  })
  const spans = createSpans(provider.getTracer('keyturn', version), monotonic)

  return {
    audit: (audit) => traceAudit(audit, spans),
    store: (db) => traceStore(db, spans, database),
    hashingLimiter: (hashingLimiter) => traceConcurrencyLimiter(hashingLimiter, spans),
    signer: (signer) => traceSigner(signer, spans),
    fetchJwks: (fetch) => traceFetchJwks(fetch, spans),
    sendLogoutToken: (send) => traceSendLogoutToken(send, spans),
    jobs: (jobs) => traceJobs(jobs, spans),
    logger: (logger) => traceLogger(logger, spans),
    request: traceRequest(spans, { issuer, continueTraces: config.continueTraces }),
    async stop() {
      delivery.stopRetrying()
      const timer = setTimeout(delivery.abort, FLUSH_TIMEOUT_MS)
      // The delivery has logged why spans could not be sent.
      await provider.shutdown().catch(() => delivery.shutdown())
      clearTimeout(timer)
    },
  }
}

/** The SDK's queue, which does not report the spans that do not fit into it; so they are counted here. */
function countingProcessor(
  delivery: Delivery,
  { queue, batch, delay, timeout }: TracingConfig,
): SpanProcessor {
  const processor = new BatchSpanProcessor({
    exporter: delivery,
    maxQueueSize: queue,
    maxExportBatchSize: batch,
    scheduledDelayMillis: delay,
    // The delivery has its own timeout and always settles.
    exportTimeoutMillis: timeout + FLUSH_TIMEOUT_MS,
  })
  return {
    onStart: () => {},
    onEnd(span) {
      if (span.spanContext().traceFlags & TraceFlags.SAMPLED) delivery.queued()
      processor.onEnd(span)
    },
    forceFlush: () => processor.forceFlush(),
    shutdown: () => processor.shutdown(),
  }
}

/**
 * The sampler of all spans. Within this process, a span is sampled if its parent is. If callers are trusted and the sampler is
 * parent-based, the caller's `sampled` flag decides about the first span of a request. Otherwise this server decides, and neither
 * this flag nor the trace id, which the caller also chooses, has an influence.
 */
function samplerOf({
  sampler: name,
  ratio,
  trustCallers,
}: Pick<TracingConfig, 'sampler' | 'ratio' | 'trustCallers'>): Sampler {
  const [, parentBased, kind] = /^(parentbased_)?(.+)$/.exec(name) ?? []
  const root =
    kind === 'always_on'
      ? new AlwaysOnSampler()
      : kind === 'always_off'
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(ratio)
  if (parentBased && trustCallers) return new ParentBasedSampler({ root })
  const ids = new RandomIdGenerator()
  const own: Sampler = {
    shouldSample: (context) => root.shouldSample(context, ids.generateTraceId()),
    toString: () => name,
  }
  return new ParentBasedSampler({ root, remoteParentSampled: own, remoteParentNotSampled: own })
}
