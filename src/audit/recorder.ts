/** Writes the audit log in the background, and regularly logs its anchor. Must not know how rows are written. */
import type { Clock, EpochSeconds, Logger, Seconds } from '../system.ts'
import type { AuditLog } from './log.ts'

/** If the process is killed, at most the events of this interval are missing in the store. They are still in the log. */
const WRITE_INTERVAL_MS = 100
/** Interval between attempts while writing fails, and between looks at aggregated rows whose window has not ended. */
const RETRY_INTERVAL_MS = 1000
/** Interval while there is nothing to write. The next event ends it. */
const REST_INTERVAL_MS = 60_000
/** How often the end of the audit log is logged, as an anchor that other machines may keep. */
const ANCHOR_INTERVAL: Seconds = 3600

/** A store that is busy for a moment, for example because another node writes much, must not cost the last events. */
const STOP_ATTEMPTS = 3

export interface Recorder {
  /** Writes all rows, and logs the anchor. */
  stop(): Promise<void>
}

export function startRecorder(log: AuditLog, { clock, logger }: { clock: Clock; logger: Logger }): Recorder {
  let stopped = false
  let checked = false
  let failing = false
  let anchorFailing = false
  /** Whether the last write was followed by an attempt to keep the anchor. */
  let anchorTried = false
  /** The anchor is kept at most once a second, because each write flushes a file to disk. */
  let keptAt: EpochSeconds = 0
  let anchoredAt: EpochSeconds = clock.now()
  let running: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  /** Milliseconds for which the timer waits; 0 while rows are written. */
  let wait = 0

  async function writePending(all?: 'all'): Promise<void> {
    try {
      if (!checked) await log.check()
      checked = true
      await log.flush(all)
      if (failing) logger.info('the audit log can be written to the store again')
      failing = false
      await keepAnchor(all === 'all')
    } catch (error) {
      // Logged once, not at every attempt.
      if (!failing)
        logger.error(
          { err: error },
          'the audit log cannot be written to the store; events are only in this log',
        )
      failing = true
    }
    if (Math.abs(clock.now() - anchoredAt) >= ANCHOR_INTERVAL) logAnchor()
  }

  async function keepAnchor(isLast: boolean): Promise<void> {
    const now = clock.now()
    anchorTried = now !== keptAt || isLast
    if (!anchorTried) return
    keptAt = now
    try {
      await log.keepAnchor()
      if (anchorFailing) logger.info('the end of the audit log is kept outside the database again')
      anchorFailing = false
    } catch (error) {
      if (!anchorFailing) {
        logger.warn(
          { err: error },
          'the end of the audit log cannot be kept outside the database: set KEYTURN_STORE_RECORD_FILE',
        )
      }
      anchorFailing = true
    }
  }

  function logAnchor(): void {
    const { anchor } = log.state()
    if (anchor !== null) logger.info({ anchor }, 'audit.head')
    anchoredAt = clock.now()
  }

  /** Milliseconds until the next write. */
  function pause(): number {
    if (failing) return RETRY_INTERVAL_MS
    const { waiting, aggregating } = log.state()
    if (waiting > 0 || !checked || !anchorTried) return WRITE_INTERVAL_MS
    return aggregating ? RETRY_INTERVAL_MS : REST_INTERVAL_MS
  }

  function schedule(): void {
    if (stopped) return
    wait = pause()
    timer = setTimeout(() => {
      wait = 0
      running = writePending().finally(schedule)
    }, wait)
    timer.unref()
  }

  log.onRecord(() => {
    if (wait <= WRITE_INTERVAL_MS || pause() >= wait) return
    clearTimeout(timer)
    schedule()
  })
  schedule()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
      for (let attempt = 1; attempt <= STOP_ATTEMPTS; attempt += 1) {
        await writePending('all')
        if (!failing) break
      }
      logAnchor()
    },
  }
}
