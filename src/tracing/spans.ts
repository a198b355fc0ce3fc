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
  child<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T>
  /** Does what `child` does, but starts a trace if there is no current span. */
  childOrTrace<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T>
  /** Starts a new trace as soon as `work` starts a span; without one, there is no trace. */
  lazyTrace<T>(name: string, work: () => Promise<T>): Promise<T>
  /** Starts a child span of the current span, which the caller ends. */
  startChild(name: string, options: SpanOptions): Span | null
  /** Starts the span of a request. @param parent the caller's span; null starts a trace */
  startRequest(name: string, options: SpanOptions, parent: SpanContext | null): RequestScope
  /** The span of the current request or background job. */
  top(): Span | null
  current(): SpanContext | null
}

interface RequestScope {
  readonly span: Span
  run(work: () => void): void
}

const contextOf = (span: Span): Context => trace.setSpan(ROOT_CONTEXT, span)

export function createSpans(tracer: Tracer, monotonic: Monotonic): Spans {
  const scopes = new AsyncLocalStorage<Scope>()
  const scope = () => {
    const found = scopes.getStore()
    return found?.recording ? found : undefined
  }

  async function runInSpan<T>(span: Span, top: (() => Span) | undefined, work: () => Promise<T>): Promise<T> {
    const inner = { recording: span.isRecording(), span: () => span, top: top ?? (() => span) }
    try {
      return await scopes.run(inner, work)
    } catch (error) {
      fail(span, error)
      throw error
    } finally {
      span.end()
    }
  }

  return {
    isActive: () => scope() !== undefined,

    child(name, options, work) {
      const outer = scope()
      if (!outer) return work()
      return runInSpan(tracer.startSpan(name, options, contextOf(outer.span())), outer.top, work)
    },

    childOrTrace(name, options, work) {
      const outer = scopes.getStore()
      if (outer && !outer.recording) return work()
      const context = outer ? contextOf(outer.span()) : ROOT_CONTEXT
      return runInSpan(tracer.startSpan(name, options, context), outer?.top, work)
    },

    async lazyTrace(name, work) {
      const startTime = monotonic()
      let created: Span | undefined
      const span = () => {
        created ??= tracer.startSpan(name, { startTime }, ROOT_CONTEXT)
        return created
      }
      try {
        return await scopes.run({ recording: true, span, top: span }, work)
      } catch (error) {
        fail(span(), error)
        throw error
      } finally {
        created?.end()
      }
    },

    startChild(name, options) {
      const outer = scope()
      return outer ? tracer.startSpan(name, options, contextOf(outer.span())) : null
    },

    startRequest(name, options, parent) {
      const context = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent)
      const span = tracer.startSpan(name, options, context)
      const inner = { recording: span.isRecording(), span: () => span, top: () => span }
      return { span, run: (work) => scopes.run(inner, work) }
    },

    top: () => scope()?.top() ?? null,
    current: () => scopes.getStore()?.span().spanContext() ?? null,
  }
}

/** A low-cardinality name for the error, as OpenTelemetry requires. Never its message, which may contain what a client sent. */
export function fail(span: Span, error: unknown): void {
  const { cause, name } = error as { cause?: { code?: unknown } | null; name?: string }
  const code = cause?.code
  const errorName = error instanceof KeyturnError ? error.code : (name ?? '_OTHER')
  const type = typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code) ? code : errorName
  span.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR })
}

/** W3C Trace Context §3.2, §4.3: a header that cannot be parsed is ignored, and a new trace starts. */
export function parseTraceparent(header: unknown): SpanContext | null {
  const parent = typeof header === 'string' ? parseTraceParent(header) : null
  return parent && { ...parent, isRemote: true }
}

export { SpanKind, SpanStatusCode }
