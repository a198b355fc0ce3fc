/** A thread that hashes, seen from the thread that serves. */
import { Worker } from 'node:worker_threads'
import { workerProgram } from '../worker-program.ts'
import type { Argon2Parameters } from './argon2-string.ts'

export interface HashRequest extends Argon2Parameters {
  readonly password: string
}

export interface HashingThread {
  /** Called again only when the last hash is done. @throws if the thread ends before it has answered */
  hash(request: HashRequest): Promise<Uint8Array>
  end(): void
}

/** The thread has no data of its own. With these limits V8 reserves less. */
const MEMORY = { maxYoungGenerationSizeMb: 1, stackSizeMb: 1 }

export function startHashingThread(): HashingThread {
  const worker = new Worker(workerProgram('accounts/hashing-worker'), {
    eval: true,
    resourceLimits: MEMORY,
    // The flags of the program, such as --import, are for its first thread.
    execArgv: [],
    name: 'hashing',
  })
  let answer: PromiseWithResolvers<Uint8Array> | undefined
  let failure: unknown
  worker.on('message', (hash: Uint8Array) => answer?.resolve(hash))
  worker.on('error', (error) => {
    failure = error
  })
  worker.on('exit', () => {
    failure ??= new Error('the thread that hashes has ended')
    answer?.reject(failure)
  })
  // An idle thread does not keep the process alive.
  worker.unref()
  return {
    async hash(request) {
      if (failure !== undefined) throw failure
      answer = Promise.withResolvers()
      worker.ref()
      worker.postMessage(request)
      try {
        return await answer.promise
      } finally {
        answer = undefined
        worker.unref()
      }
    },

    end() {
      worker.terminate()
    },
  }
}
