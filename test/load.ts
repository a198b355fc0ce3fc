/**
 * `npm run test:loaded`: runs `npm test` several times beside processes that keep the processors busy. A test that passes only on an
 * idle machine fails here sooner or later.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdtempSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { root } from './support/docs/documents.ts'

const HELP = `npm run test:loaded -- [options] [files]

  --processes <n>  processes that keep a processor busy (12)
  --times <n>      runs (10)
  files            instead of those of \`npm test\`
`

const { values: options, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    processes: { type: 'string', default: '12' },
    times: { type: 'string', default: '10' },
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
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-loaded-'))
  const busy = Array.from({ length: processes }, () =>
    spawn(process.execPath, ['-e', BUSY], { stdio: ['pipe', 'ignore', 'inherit'] }),
  )
  print(
    `${times} runs beside ${processes} busy processes, on ${availableParallelism()} processors; logs in ${folder}`,
  )
  let failedRuns = 0
  try {
    for (let run = 1; run <= times; run += 1) {
      const { ok, seconds, summary, failures } = await runTests(join(folder, `${run}.tap`))
      if (!ok) failedRuns += 1
      print(`run ${run}: ${ok ? 'passed' : 'FAILED'} in ${seconds} s ${summary}`)
      for (const failure of failures) print(`  ${failure}`)
    }
  } finally {
    for (const child of busy) child.kill('SIGKILL')
  }
  print(`${times - failedRuns} of ${times} runs passed`)
  process.exitCode = failedRuns === 0 ? 0 : 1
}

interface Run {
  readonly ok: boolean
  readonly seconds: number
  /** The counts of tap. */
  readonly summary: string
  /** The failed assertions, tests and files as tap prints them. */
  readonly failures: readonly string[]
}

async function runTests(log: string): Promise<Run> {
  const from = performance.now()
  const tests = spawn('npm', ['test', '--silent', '--', '--reporter=tap', ...files], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const file = createWriteStream(log)
  tests.stderr.pipe(file, { end: false })
  const [failures, summary] = await readTap(tests, file)
  const code: number | null = tests.exitCode ?? (await once(tests, 'exit'))[0]
  file.end()
  return { ok: code === 0, seconds: Math.round((performance.now() - from) / 1000), summary, failures }
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
