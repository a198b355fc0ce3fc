/** Has the audit log written in the background, and says from time to time where it ends. Must not know how it is written. */
import type { Clock, EpochSeconds, Logger, Seconds } from '../system.ts'
import type { AuditLog } from './log.ts'

/** What a kill may cost the store; the log lines are out. */
const PAUSE_MS = 100
/** While the store cannot take it. */
const LONG_PAUSE_MS = 1000
/** Between two lines with the end of the log: an anchor outside of the database. */
const ANCHOR_EVERY: Seconds = 3600

export interface Recorder {
  /** Writes what there is, and says where the log ends. */
  stop(): Promise<void>
}

export function startRecorder(log: AuditLog, { clock, logger }: { clock: Clock; logger: Logger }): Recorder {
  let stopped = false
  let checked = false
  let failing = false
  let anchored: EpochSeconds = clock.now()
  let running: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined

  async function round(all?: 'all'): Promise<void> {
    try {
      if (!checked) await log.check()
      checked = true
      await log.flush(all)
      if (failing) logger.info('the audit log is written again')
      failing = false
    } catch (error) {
      // Said once, not once a second.
      if (!failing) logger.error({ err: error }, 'the audit log cannot be written; its lines are here')
      failing = true
    }
    if (Math.abs(clock.now() - anchored) >= ANCHOR_EVERY) sayAnchor()
  }

  function sayAnchor(): void {
    const { anchor } = log.state()
    if (anchor !== null) logger.info({ anchor }, 'audit.head')
    anchored = clock.now()
  }

  function schedule(): void {
    if (stopped) return
    timer = setTimeout(
      () => {
        running = round().finally(schedule)
      },
      failing ? LONG_PAUSE_MS : PAUSE_MS,
    )
    timer.unref()
  }

  schedule()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
      await round('all')
      sayAnchor()
    },
  }
}
