/** Keeps lines of the audit trail out of the middle of a command's output: they are logged when the command is done. */
import type { Logger } from '../system.ts'

export interface HeldAudit {
  readonly logger: Logger
  /** Logs the lines that were held. */
  release(): void
}

export function holdAudit(logger: Logger): HeldAudit {
  const held: object[] = []
  const info = (fields: object | string, message?: string) => {
    if (typeof fields === 'string') logger.info(fields)
    else if ('audit' in fields) held.push(fields)
    else if (message === undefined) logger.info(fields)
    else logger.info(fields, message)
  }
  return {
    logger: {
      debug: logger.debug.bind(logger),
      info,
      warn: logger.warn.bind(logger),
      error: logger.error.bind(logger),
    },
    release() {
      for (const fields of held.splice(0)) logger.info(fields)
    },
  }
}
