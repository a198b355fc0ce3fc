import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import t from 'tap'
import { seededFolder } from '../support/processes/data-folder.ts'
import { startServer } from '../support/processes/process.ts'
import { login } from '../support/server/requests.ts'

/** The priorities of the threads with this name, as `nice` shows them: more is lower. */
function prioritiesOf(pid: number, name: string): number[] {
  const read = (id: string, file: string) => readFileSync(`/proc/${pid}/task/${id}/${file}`, 'utf8').trim()
  const ids = readdirSync(`/proc/${pid}/task`).filter((id) => read(id, 'comm') === name)
  return ids.map((id) => Number(/\) (.+)$/.exec(read(id, 'stat'))?.[1]?.split(' ')[16]))
}

/** Threads of the libuv pool, which signs; libuv names them. */
const poolThreads = (pid: number): number => prioritiesOf(pid, 'libuv-worker').length

const skip = process.platform === 'linux' ? false : 'threads are counted in /proc'

t.test('the thread pool that signs has one thread per processor, and at least two', { skip }, async (t) => {
  const server = await startServer(t, await seededFolder(t))
  t.equal(poolThreads(server.pid), Math.max(2, Math.min(16, availableParallelism())))
})

t.test('a thread pool size set by the operator is kept', { skip }, async (t) => {
  const server = await startServer(t, await seededFolder(t), { wrap: ['env', 'UV_THREADPOOL_SIZE=3'] })
  t.equal(poolThreads(server.pid), 3)
})

t.test('sign-ins hash on threads of a low priority, which start with them', { skip }, async (t) => {
  const server = await startServer(t, await seededFolder(t))
  t.same(prioritiesOf(server.pid, 'hashing'), [])
  const answers = await Promise.all(Array.from({ length: 8 }, () => login(server)))
  t.same(
    answers.map(({ statusCode }) => statusCode),
    answers.map(() => 200),
  )
  const priorities = prioritiesOf(server.pid, 'hashing')
  t.ok(priorities.length >= 1 && priorities.length <= availableParallelism(), `${priorities.length} threads`)
  t.ok(
    priorities.every((priority) => priority > 0),
    'all others go first',
  )
})
