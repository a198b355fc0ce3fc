/** The program of a thread that hashes: one password at a time, and only with processor time that nothing else needs. */
import { argon2Sync } from 'node:crypto'
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import type { HashRequest } from './hashing-thread.ts'

/**
 * With this priority, threads that sign or answer requests run first. While they leave nothing over, a thread that hashes still
 * gets about a tenth of a processor. With the lowest priority it gets a seventieth, and beside other busy programs sign-ins stand still.
 */
const PRIORITY = 10

// Linux sets the priority of the calling thread, others would set that of the process (hashing-limits.ts).
setPriority(PRIORITY)
if (!parentPort) throw new Error('this is not a worker thread')
const port = parentPort

port.on('message', ({ password, memory, passes, lanes, length, salt }: HashRequest) => {
  const cost = { memory, passes, parallelism: lanes, tagLength: length }
  port.postMessage(argon2Sync('argon2id', { ...cost, message: password, nonce: salt }))
})
