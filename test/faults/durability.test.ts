import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { seededFolder, signIn, withOpened } from '../support/processes/data-folder.ts'
import { withoutStrace } from '../support/processes/fault-injection.ts'
import { type ProcessOptions, startServer } from '../support/processes/process.ts'
import { basic, clientCredentials, login, post, refresh } from '../support/server/requests.ts'

const TRACED_CALLS = 'trace=pwrite64,fsync,fdatasync,write,writev'

interface Flushes {
  /** Responses with status 200. */
  readonly answers: number
  /** How many of these were sent while the database's write-ahead log had unflushed bytes. */
  readonly early: number
}

/**
 * Reads from a trace of system calls whether any response was sent before its data was on disk. The main thread alone
 * writes the database and sends the responses, so its lines in the trace are in order.
 */
function readTrace(trace: string): Flushes {
  const lines = trace.split('\n')
  const main = lines[0]?.split(' ', 1)[0] ?? ''
  let dirty = false
  let flushing = false
  let answers = 0
  let early = 0
  for (const line of lines) {
    if (!line.startsWith(`${main} `)) continue
    if (/ pwrite64\(\d+<[^>]*-wal>/.test(line)) dirty = true
    const flush = / (?:fsync|fdatasync)\(\d+<[^>]*-wal>(.*)/.exec(line)
    if (flush) flushing = true
    if (flushing && /(?:fsync|fdatasync)(?:\(| resumed).*\) += 0$/.test(line)) {
      dirty = false
      flushing = false
    }
    if (/ writev?\(.*"HTTP\/1\.1 200 /.test(line)) {
      answers += 1
      if (dirty) early += 1
    }
  }
  return { answers, early }
}

if (withoutStrace) t.comment(`WARNING: ${withoutStrace}`)

const REFRESHES = 10

/** Makes requests whose results must survive, while the system calls are traced. */
async function traced(t: Test, options: ProcessOptions): Promise<Flushes> {
  const folder = await seededFolder(t)
  const [first = ''] = await withOpened(folder, (opened) => signIn(opened))
  const trace = join(folder.path, 'trace')
  const wrap = ['strace', '-D', '-f', '-y', '-s', '16', '-e', TRACED_CALLS, '-o', trace]
  const server = await startServer(t, folder, { ...options, wrap })
  const acknowledged = (answer: { statusCode: number; body: string }) => {
    if (answer.statusCode !== 200) throw new Error(answer.body)
  }

  let token = first
  for (let i = 0; i < REFRESHES; i += 1) {
    const answer = await refresh(server, token)
    acknowledged(answer)
    token = answer.json().refresh_token
  }
  const access = await clientCredentials(server)
  acknowledged(access)
  acknowledged(await login(server))
  for (const [taken, by] of [
    [token, 'app'],
    [access.json().access_token, 'machine'],
  ]) {
    acknowledged(await post(server, '/oauth2/revoke', { token: taken }, { authorization: basic(by) }))
  }
  await server.stop()
  return readTrace(readFileSync(trace, 'utf8'))
}

t.test(
  'no response is sent before its data is flushed to disk (docs/security.md Q2)',
  { skip: withoutStrace },
  async (t) => {
    const { answers, early } = await traced(t as Test, {})
    t.equal(answers, REFRESHES + 4)
    t.equal(early, 0)
  },
)

t.test(
  'the trace check detects a database that flushes after responding',
  { skip: withoutStrace },
  async (t) => {
    const { answers, early } = await traced(t as Test, { synchronous: 'NORMAL' })
    t.equal(answers, REFRESHES + 4)
    t.ok(early >= REFRESHES, `${early} of ${answers} were sent before they were safe`)
  },
)
