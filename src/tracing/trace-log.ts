/** Adds the ids of the trace and the span to log lines. */
import type { Logger } from '../system.ts'
import type { Spans } from './spans.ts'

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const

type Write = (first: unknown, ...rest: unknown[]) => void
type Plain = Partial<Record<(typeof LEVELS)[number], Write>> & { child?: (...args: unknown[]) => Logger }

export function traceLogger<L extends Logger>(logger: L, spans: Spans): L {
  const plain = logger as unknown as Plain
  // All other members are inherited from the logger.
  const traced = Object.create(logger) as Plain
  for (const level of LEVELS) {
    if (plain[level] === undefined) continue
    traced[level] = (first, ...rest) => {
      const current = spans.current()
      if (!current || first instanceof Error) return plain[level]?.(first, ...rest)
      const ids = { trace_id: current.traceId, span_id: current.spanId }
      if (typeof first === 'string') plain[level]?.(ids, first, ...rest)
      else plain[level]?.({ ...(first as object), ...ids }, ...rest)
    }
  }
  const { child } = plain
  // Fastify creates a child logger for itself.
  if (child) traced.child = (...args) => traceLogger(child.apply(plain, args), spans)
  return traced as unknown as L
}
