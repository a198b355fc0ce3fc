/** The program of the thread that writes to the embedded database: commits what it is sent, in the order in which it is sent. */
import { parentPort, workerData } from 'node:worker_threads'
import { type Step, StoreUnavailable } from '../db.ts'
import { createCommitGroup } from './commit-group.ts'
import { codeOf, createIdentityCheck, openFile } from './file.ts'
import { scrubFile } from './scrub.ts'

export interface WriterData {
  readonly file: string
  /** The files that the other thread has opened (`openedFiles`). */
  readonly identity: string
  /** Milliseconds by which each commit is delayed, for crash tests and benchmarks of slow disks. */
  readonly flushDelay: number
}

export type Request =
  | { readonly commit: readonly (readonly Step[])[] }
  | { readonly scrub: true }
  | { readonly close: true }

/** Structured cloning keeps only the message of an error. */
export interface SentError {
  readonly message: string
  /** SQLite's; empty for other errors. */
  readonly code: string
  /** The error is a {@link StoreUnavailable}. */
  readonly unavailable: boolean
}

export interface Done {
  /** Those of a commit. */
  readonly outcomes?: readonly (boolean | { readonly error: SentError })[]
  readonly scrubbed?: boolean
}

export type Answer =
  /** The database is open. */
  | { readonly id?: undefined }
  | { readonly id: number; readonly done: Done }
  | { readonly id: number; readonly done?: undefined; readonly error: SentError }

const { file, identity, flushDelay } = workerData as WriterData
if (!parentPort) throw new Error('this is not a worker thread')
const port = parentPort

const db = openFile(file, {})
const assertSameFiles = createIdentityCheck(file, identity)
assertSameFiles()
const commitGroup = createCommitGroup(db, assertSameFiles, flushDelay)

const reply = (answer: Answer) => port.postMessage(answer)

port.on('message', async ({ id, request }: { id: number; request: Request }) => {
  try {
    reply({ id, done: await carryOut(request) })
  } catch (error) {
    reply({ id, error: toSent(error) })
  }
})
reply({})

async function carryOut(request: Request): Promise<Done> {
  if ('close' in request) {
    db.close()
    // Without the port, nothing keeps the thread alive. It is closed after the answer.
    setImmediate(() => port.close())
    return {}
  }
  assertSameFiles()
  if ('scrub' in request) return { scrubbed: await scrubFile(db) }
  const outcomes = commitGroup(request.commit)
  return {
    outcomes: outcomes.map((outcome) =>
      typeof outcome === 'boolean' ? outcome : { error: toSent(outcome.error) },
    ),
  }
}

function toSent(error: unknown): SentError {
  const unavailable = error instanceof StoreUnavailable
  const cause = unavailable ? error.cause : error
  return { message: cause instanceof Error ? cause.message : String(cause), code: codeOf(cause), unavailable }
}
