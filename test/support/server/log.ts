import type { AuditEvent, AuditFields } from '../../../src/audit/events.ts'
import type { Logger } from '../../../src/system.ts'

type Audited = AuditFields & { audit: AuditEvent }

export interface TestLogger extends Logger {
  /** Everything that was passed to the logger. */
  readonly lines: { level: string; fields: Record<string, unknown>; message: string | undefined }[]
  /** The audit lines among them. */
  audits(event?: AuditEvent): Audited[]
  /** All audit lines ever, including those that a test has discarded. */
  readonly audited: readonly Audited[]
}

/** Keeps what is logged, for tests of log content. Usable as Fastify’s logger. */
export function testLogger(): TestLogger {
  const lines: TestLogger['lines'] = []
  const audited: Audited[] = []
  const method = (level: string) => (fields: object | string, message?: string) => {
    if (typeof fields === 'string') lines.push({ level, fields: {}, message: fields })
    else {
      lines.push({ level, fields: fields as Record<string, unknown>, message })
      if ('audit' in fields) audited.push(fields as Audited)
    }
  }
  const logger = {
    lines,
    audited,
    level: 'trace',
    fatal: method('fatal'),
    error: method('error'),
    warn: method('warn'),
    info: method('info'),
    debug: method('debug'),
    trace: method('trace'),
    silent: () => {},
    child: () => logger,
    audits: (event?: AuditEvent) =>
      lines
        .map((line) => line.fields as unknown as Audited)
        .filter((fields) => fields.audit !== undefined && (event === undefined || fields.audit === event)),
  }
  return logger
}
