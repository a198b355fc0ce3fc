/** Keeps lines of the audit trail out of the middle of a command's output: they are logged when the command is done. */
import type { Logger } from '../system.ts'

interface HeldAudit {
  readonly logger: Logger
  /** Logs the lines that are held. */
  release(): void
}

/** A command may revoke any number of sessions, or run until it is stopped. Beyond this, the lines are logged while it runs. */
export const MAX_HELD = 1000

export function holdAudit(logger: Logger): HeldAudit {
  const held: object[] = []
  const release = () => {
    for (const fields of held.splice(0)) logger.info(fields)
  }
  const hold = (fields: object) => {
    held.push(fields)
    if (held.length >= MAX_HELD) release()
  }
  return {
    logger: {
      debug: logger.debug.bind(logger),
      info(fields: object | string, message?: string) {
        if (typeof fields === 'string') logger.info(fields)
        else if ('audit' in fields) hold(fields)
        else if (message === undefined) logger.info(fields)
        else logger.info(fields, message)
      },
      warn: logger.warn.bind(logger),
      error: logger.error.bind(logger),
    },
    release,
  }
}
