import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import { createSink } from '../../src/log/sink.ts'
import { until } from '../support/server/waiting.ts'

/** Both ends of a pipe that can be full. */
function pipe(t: { testdir(): string; teardown(work: () => void): void }): number {
  const path = join(t.testdir(), 'pipe')
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  t.teardown(() => closeSync(fd))
  return fd
}

/** Reads until the condition is true and nothing is left. */
async function drain(fd: number, condition: (read: Buffer[]) => boolean): Promise<string> {
  const buffer = Buffer.alloc(65_536)
  const chunks: Buffer[] = []
  for (let last = false; ; last = condition(chunks)) {
    let size = 0
    try {
      size = readSync(fd, buffer)
    } catch {
      // EAGAIN: nothing to read.
    }
    if (size > 0) chunks.push(Buffer.from(buffer.subarray(0, size)))
    else if (last) return Buffer.concat(chunks).toString()
    await wait(size > 0 ? 0 : 10)
  }
}

t.test('lines are written whole and in order (docs/security.md Q19)', async (t) => {
  const file = join(t.testdir(), 'log')
  const sink = createSink(file)
  const lines = Array.from({ length: 1000 }, (_, i) => `line ${i} é\n`)
  for (const line of lines) sink.write(line)
  await until(() => readFileSync(file, 'utf8').length >= lines.join('').length)
  t.equal(readFileSync(file, 'utf8'), lines.join(''))
})

t.test('a blocked reader loses lines beyond 4 MiB and is told how many (docs/security.md Q19)', async (t) => {
  const fd = pipe(t)
  const lost: number[] = []
  const sink = createSink(fd, (lines) => lost.push(lines))
  const count = 60_000
  for (let i = 0; i < count; i += 1) sink.write(`${String(i).padStart(99)}\n`)

  // The loss is reported once all that was kept is written.
  const text = await drain(fd, () => lost.length > 0)
  t.ok(text.length < 4_300_000, 'the waiting lines are bounded')
  t.ok(text.length > 4_100_000, 'and no line that had room is lost')
  const lines = text.trimEnd().split('\n')
  t.ok(
    lines.every((line, i) => Number(line) === i),
    'the first lines are kept, in order',
  )
  t.same(lost, [count - lines.length])

  sink.write('again\n')
  t.equal(await drain(fd, ([first]) => first !== undefined), 'again\n')
})

t.test('a full disk causes no error (docs/security.md Q3)', async (t) => {
  // Never closed: the sink tries again for as long as the process runs, and another file would get the number.
  const full = openSync('/dev/full', 'w')
  const sink = createSink(full)
  sink.write('one\n')
  await wait(250)
  sink.write('two\n')
  t.pass('nothing was thrown')
})
