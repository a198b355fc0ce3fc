/** Starts spans and knows which one is current. The only file that starts spans. Must not know what a span is about. */
import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { parseTraceParent } from '@opentelemetry/core'
import { KeyturnError } from '../errors.ts'
import type { Monotonic } from '../system.ts'

/** The context of some work: the span that its spans are children of, and the span at the top. */
interface Scope {
  /** False if the sampler decided to keep nothing of this trace. */
  readonly recording: boolean
  /** The current span. */
  span(): Span
  /** The request or background job that every span belongs to. */
  top(): Span
}

export interface SpanOptions {
  readonly kind?: SpanKind
  readonly attributes?: Attributes
}

export interface Spans {
  /** Whether there is a current span that is recorded. */
  isActive(): boolean
  /** Runs `work` in a child span of the current span; without a current span, only runs it. */
  within<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T>
  /** As `within`, but without a current span it starts a trace. */
  always<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T>
  /** Starts a trace of its own, but only if `work` does anything that is traced. */
  ifAnything<T>(name: string, work: () => Promise<T>): Promise<T>
  /** Starts a child span of the current span, which the caller ends. */
  start(name: string, options: SpanOptions): Span | null
  /** Starts the span of a request. @param parent the caller's span; null starts a trace */
  enter(name: string, options: SpanOptions, parent: SpanContext | null): Entered
  /** The request or background job that this span belongs to. */
  top(): Span | null
  current(): SpanContext | null
}

interface Entered {
  readonly span: Span
  run(work: () => void): void
}

const below = (span: Span): Context => trace.setSpan(ROOT_CONTEXT, span)

export function createSpans(tracer: Tracer, monotonic: Monotonic): Spans {
  const scopes = new AsyncLocalStorage<Scope>()
  const scope = () => {
    const found = scopes.getStore()
    return found?.recording ? found : undefined
  }

  async function around<T>(span: Span, top: (() => Span) | undefined, work: () => Promise<T>): Promise<T> {
    const inside = { recording: span.isRecording(), span: () => span, top: top ?? (() => span) }
    try {
      return await scopes.run(inside, work)
    } catch (error) {
      fail(span, error)
      throw error
    } finally {
      span.end()
    }
  }

  return {
    isActive: () => scope() !== undefined,

    within(name, options, work) {
      const outside = scope()
      if (!outside) return work()
      return around(tracer.startSpan(name, options, below(outside.span())), outside.top, work)
    },

    always(name, options, work) {
      const outside = scopes.getStore()
      if (outside && !outside.recording) return work()
      const context = outside ? below(outside.span()) : ROOT_CONTEXT
      return around(tracer.startSpan(name, options, context), outside?.top, work)
    },

    async ifAnything(name, work) {
      const startTime = monotonic()
      let made: Span | undefined
      const span = () => {
        made ??= tracer.startSpan(name, { startTime }, ROOT_CONTEXT)
        return made
      }
      try {
        return await scopes.run({ recording: true, span, top: span }, work)
      } catch (error) {
        fail(span(), error)
        throw error
      } finally {
        made?.end()
      }
    },

    start(name, options) {
      const outside = scope()
      return outside ? tracer.startSpan(name, options, below(outside.span())) : null
    },

    enter(name, options, parent) {
      const context = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent)
      const span = tracer.startSpan(name, options, context)
      const inside = { recording: span.isRecording(), span: () => span, top: () => span }
      return { span, run: (work) => scopes.run(inside, work) }
    },

    top: () => scope()?.top() ?? null,
    current: () => scopes.getStore()?.span().spanContext() ?? null,
  }
}

/** A low-cardinality name for the error, as OpenTelemetry asks. Never its text, which may contain what a client sent. */
export function fail(span: Span, error: unknown): void {
  const { cause, name } = error as { cause?: { code?: unknown } | null; name?: string }
  const code = cause?.code
  const own = error instanceof KeyturnError ? error.code : (name ?? '_OTHER')
  const type = typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code) ? code : own
  span.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR })
}

/** W3C Trace Context §3.2, §4.3: a header that cannot be parsed is ignored, and a trace of our own begins. */
export function parseCaller(header: unknown): SpanContext | null {
  const parent = typeof header === 'string' ? parseTraceParent(header) : null
  return parent && { ...parent, isRemote: true }
}

export { SpanKind, SpanStatusCode }
