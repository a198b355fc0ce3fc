import type { GenerateKey } from '../keys/algorithms.ts'
import type { Clock, Logger, ReachFailpoint } from '../system.ts'

/** A command's whole access to the process and the machine; tests replace it. */
export interface Io {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly stdin: AsyncIterable<Buffer | string>
  /** Writes to standard output: the result of the command and nothing else. */
  out(text: string): void
  /** Resolves when all output has been written or lost, with the reason why some was lost; null if none was. */
  outputLost?(): Promise<string | null>
  /** Writes to standard error: everything else. */
  err(text: string): void
  readonly errIsTerminal: boolean
  /** True if the operator can be prompted. */
  readonly interactive: boolean
  /** Prompts for a value without echoing it, e.g. a password. Requires `interactive`. */
  askSecret(question: string): Promise<string>
  /** Asks a question whose answer is yes or no; anything but a clear yes is no. Requires `interactive`. */
  confirm(question: string): Promise<boolean>
  /** Width of the terminal. */
  readonly columns: number
  readonly pid: number
  /** Whether this machine has a process with this id. */
  isRunning(pid: number): boolean
  /** Who runs the command, for the audit trail. */
  readonly operator: string
  readonly clock?: Clock
  readonly generateKey?: GenerateKey
  /** Default: a logger that writes to standard error. */
  readonly logger?: Logger
  /** Opens a web page, if there is a browser. */
  openBrowser?(url: string): void | Promise<void>
  /** How commands reach other servers. Default: that of Node.js. */
  readonly fetch?: typeof fetch
  /** Set only by crash tests. */
  readonly failpoint?: ReachFailpoint
  /** Milliseconds by which each commit to an embedded database is delayed. Set only by crash tests and benchmarks of slow disks. */
  readonly flushDelay?: number
  /** The young generation of V8 does not grow (src/node/young-generation.ts). */
  readonly youngGenerationIsSmall?: boolean
  /** Resolves with the signal's name when the process is asked to stop. */
  stopSignal(): Promise<string>
  /** Ends the process at once, if a graceful stop does not finish. */
  forceExit(code: number): void
}
