import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import t from 'tap'
import { seededFolder } from '../support/processes/data-folder.ts'
import { startServer } from '../support/processes/process.ts'

/** Threads of the libuv pool, which signs and hashes; libuv names them. */
function poolThreads(pid: number): number {
  const names = readdirSync(`/proc/${pid}/task`).map((id) =>
    readFileSync(`/proc/${pid}/task/${id}/comm`, 'utf8').trim(),
  )
  return names.filter((name) => name === 'libuv-worker').length
}

const skip = process.platform === 'linux' ? false : 'threads are counted in /proc'

t.test('the thread pool that signs has one thread per processor, and at least two', { skip }, async (t) => {
  const server = await startServer(t, await seededFolder(t))
  t.equal(poolThreads(server.pid), Math.max(2, Math.min(16, availableParallelism())))
})

t.test('a thread pool size set by the operator is kept', { skip }, async (t) => {
  const server = await startServer(t, await seededFolder(t), { wrap: ['env', 'UV_THREADPOOL_SIZE=3'] })
  t.equal(poolThreads(server.pid), 3)
})
