/**
 * `npm run test:loaded`: runs `npm test` several times beside processes that keep the processors busy. A test that passes only on an
 * idle machine fails here sooner or later. Runs that go on at the same time are load for each other: ten runs in four checkouts take a
 * third of the time of ten in one.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdtempSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { root } from './support/docs/documents.ts'

const HELP = `npm run test:loaded -- [options] [files]

  --processes <n>      how many processes each run competes with (12): busy ones, and the test processes of other runs
  --times <n>          runs (10)
  --checkout <folder>  another checkout of the same commit, with its node_modules, that takes runs at the same time; may be repeated
  files                instead of those of \`npm test\`
`

/** Test processes of one run: `jobs` in .taprc. */
const JOBS = 3

const { values: options, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    processes: { type: 'string', default: '12' },
    times: { type: 'string', default: '10' },
    checkout: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
})

/** Ends when its standard input does, so with this process, however that ends. */
const BUSY = `
  process.stdin.resume().on('end', () => process.exit())
  setInterval(() => { for (const from = Date.now(); Date.now() - from < 100; ); }, 1)`

if (options.help) process.stdout.write(HELP)
else await main(count('processes'), count('times'))

function count(name: 'processes' | 'times'): number {
  const value = Number(options[name])
  if (Number.isInteger(value) && value > 0) return value
  process.stderr.write(`--${name} must be a positive integer\n\n${HELP}`)
  process.exit(2)
}

async function main(processes: number, times: number): Promise<void> {
  const logs = mkdtempSync(join(tmpdir(), 'keyturn-loaded-'))
  const checkouts = [root, ...options.checkout.map((folder) => resolve(folder))]
  const busy: ChildProcess[] = []
  let begun = 0
  let underWay = 0
  let failedRuns = 0
  const keepBusy = () => {
    const wanted = Math.max(0, processes - JOBS * Math.max(0, underWay - 1))
    while (busy.length > wanted) busy.pop()?.kill('SIGKILL')
    while (busy.length < wanted)
      busy.push(spawn(process.execPath, ['-e', BUSY], { stdio: ['pipe', 'ignore', 'inherit'] }))
  }
  const runIn = async (checkout: string): Promise<void> => {
    while (begun < times) {
      const run = ++begun
      underWay += 1
      keepBusy()
      const { ok, seconds, load, summary, failures } = await runTests(checkout, join(logs, `${run}.tap`))
      underWay -= 1
      if (!ok) failedRuns += 1
      print(
        `run ${run}: ${ok ? 'passed' : 'FAILED'} in ${seconds} s, load average ${load.toFixed(1)}, ${summary}`,
      )
      for (const failure of failures) print(`  ${failure}`)
    }
    keepBusy()
  }
  print(
    `${times} runs, each beside ${processes} processes, ${checkouts.length} at a time, on ${availableParallelism()} processors; logs in ${logs}`,
  )
  try {
    await Promise.all(checkouts.map(runIn))
  } finally {
    for (const child of busy) child.kill('SIGKILL')
  }
  print(`${times - failedRuns} of ${times} runs passed`)
  process.exitCode = failedRuns === 0 ? 0 : 1
}

interface Run {
  readonly ok: boolean
  readonly seconds: number
  /** The load average of the last 15 minutes when the run ended, of the whole machine. */
  readonly load: number
  /** The counts of tap. */
  readonly summary: string
  /** The failed assertions, tests and files as tap prints them. */
  readonly failures: readonly string[]
}

async function runTests(checkout: string, log: string): Promise<Run> {
  const from = performance.now()
  const tests = spawn('npm', ['test', '--silent', '--', '--reporter=tap', ...files], {
    cwd: checkout,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const file = createWriteStream(log)
  tests.stderr.pipe(file, { end: false })
  const [failures, summary] = await readTap(tests, file)
  const code: number | null = tests.exitCode ?? (await once(tests, 'exit'))[0]
  file.end()
  const seconds = Math.round((performance.now() - from) / 1000)
  return { ok: code === 0, seconds, load: loadavg()[2] ?? 0, summary, failures }
}

async function readTap({ stdout }: ChildProcess, log: NodeJS.WritableStream): Promise<[string[], string]> {
  const failures: string[] = []
  let summary = ''
  if (stdout === null) return [failures, summary]
  for await (const line of createInterface(stdout)) {
    log.write(`${line}\n`)
    if (/^ *not ok /.test(line)) failures.push(line)
    else if (line.startsWith('# { total: ')) summary = line.slice(2)
  }
  return [failures, summary]
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
