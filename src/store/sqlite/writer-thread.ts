/** The thread that writes, seen from the thread that serves. Must not know any table, or when batches are committed. */
import { Worker } from 'node:worker_threads'
import { workerProgram } from '../../worker-program.ts'
import { StoreUnavailable } from '../db.ts'
import type { Outcome } from './commit-group.ts'
import type { WriterThread } from './writer.ts'
import type { Answer, Done, Request, SentError, WriterData } from './writer-worker.ts'

/** The thread only copies messages into statements. With these limits V8 reserves less. */
const MEMORY = { maxYoungGenerationSizeMb: 2, stackSizeMb: 1 }

interface Waiting {
  resolve(done: Done): void
  reject(error: unknown): void
}

export function startWriterThread(data: WriterData): WriterThread {
  const waiting = new Map<number, Waiting>()
  let lastRequest = 0
  let endedBy: StoreUnavailable | undefined
  const opened = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<unknown>()
  // No one waits for it while the thread that serves goes on writing.
  opened.promise.catch(() => {})

  const worker = new Worker(workerProgram('store/sqlite/writer-worker'), {
    eval: true,
    workerData: data,
    resourceLimits: MEMORY,
    // The flags of the program, such as --import, are for its first thread.
    execArgv: [],
    name: 'writer',
  })
  // An idle thread does not keep the process alive.
  worker.unref()
  let cause: unknown
  worker.on('error', (error) => {
    cause = error
  })
  worker.on('message', (answer: Answer) => {
    if (answer.id === undefined) {
      opened.resolve()
      return
    }
    const request = waiting.get(answer.id)
    waiting.delete(answer.id)
    if (waiting.size === 0) worker.unref()
    if (answer.done) request?.resolve(answer.done)
    else request?.reject(toError(answer.error))
  })
  worker.on('exit', () => {
    const error = new Error('the thread that writes to the database has ended', { cause })
    endedBy = new StoreUnavailable(error)
    opened.reject(endedBy)
    for (const { reject } of waiting.values()) reject(endedBy)
    waiting.clear()
    ended.resolve(error)
  })

  function ask(request: Request): Promise<Done> {
    return new Promise((resolve, reject) => {
      if (endedBy) {
        reject(endedBy)
        return
      }
      lastRequest += 1
      waiting.set(lastRequest, { resolve, reject })
      worker.ref()
      worker.postMessage({ id: lastRequest, request })
    })
  }

  return {
    opened: opened.promise,
    ended: ended.promise,

    async commit(group) {
      const { outcomes = [] } = await ask({ commit: group })
      return outcomes.map(
        (outcome): Outcome => (typeof outcome === 'boolean' ? outcome : { error: toError(outcome.error) }),
      )
    },

    async scrub() {
      const { scrubbed = false } = await ask({ scrub: true })
      return scrubbed
    },

    async close() {
      // A thread that is still starting closes the database when it has opened it.
      await ask({ close: true }).catch(() => {})
      worker.ref()
      await ended.promise
    },
  }
}

function toError({ message, code, unavailable }: SentError): Error {
  const error = Object.assign(new Error(message), code === '' ? {} : { code })
  return unavailable ? new StoreUnavailable(error) : error
}
