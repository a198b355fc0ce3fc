import type { GenerateKey } from '../keys/algorithms.ts'
import type { Clock, Logger, ReachFailpoint } from '../system.ts'

/** What a command may touch of the world; tests give their own. */
export interface Io {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly stdin: AsyncIterable<Buffer | string>
  /** Standard output: what was asked for, and nothing else. */
  out(text: string): void
  /** Standard error: everything else. */
  err(text: string): void
  readonly errIsTerminal: boolean
  /** Somebody can be asked. */
  readonly interactive: boolean
  /** Asks for what must not be seen, e.g. a password; only if `interactive`. */
  askSecret(question: string): Promise<string>
  readonly columns: number
  /** Of this process. */
  readonly pid: number
  /** Who runs the command, for the audit trail. */
  readonly operator: string
  readonly clock?: Clock
  readonly generateKey?: GenerateKey
  /** Otherwise the log goes to standard error. */
  readonly logger?: Logger
  /** Only the crash tests have one. */
  readonly failpoint?: ReachFailpoint
  /** Resolves with the signal's name when the process is asked to stop. */
  stopSignal(): Promise<string>
  /** For a stop that does not come to its end by itself. */
  endNow(code: number): void
}
