/** Faults of the thread that writes to a slow disk, injected into the process of a server by failing-keyturn.ts. */
import type { Worker } from 'node:worker_threads'

export interface WriterFault {
  /** The whole process is killed, or only the thread ends, by itself or by an error. */
  readonly how: 'kill' | 'exit' | 'error'
  /** How many commits the thread has been sent; 0 when it starts. It happens to each thread. */
  readonly commits: number
  /** Milliseconds after that. */
  readonly delay: number
}

/** What the process writes to its log when the thread has written for the first time. */
export const THREAD_WRITES = 'a thread writes to the database\n'

export function reportThreads(): void {
  process.on('worker', (worker) => {
    // The first message only says that the database is open.
    worker.once('message', () => worker.once('message', () => process.stderr.write(THREAD_WRITES)))
  })
}

export function injectWriterFault({ how, commits, delay }: WriterFault): void {
  const happen = (worker: Worker) => {
    if (how === 'kill') process.kill(process.pid, 'SIGKILL')
    else if (how === 'exit') worker.terminate()
    // Not a message that the thread understands, so its handler throws.
    else worker.postMessage(null)
  }
  const afterDelay = (worker: Worker) =>
    delay < 1 ? happen(worker) : setTimeout(() => happen(worker), delay)

  process.on('worker', (worker) => {
    if (commits === 0) return void afterDelay(worker)
    const { postMessage } = worker
    let sent = 0
    worker.postMessage = function (message: unknown, ...rest: []) {
      postMessage.call(this, message, ...rest)
      sent += 1
      if (sent === commits) afterDelay(worker)
    }
  })
}
