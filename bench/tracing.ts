/** `node bench/tracing.ts`: processor time per token of servers with and without tracing. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { startKeyturn } from './servers/keyturn.ts'
import { basic, SCOPE, type Subject } from './subject.ts'
import { cpuSeconds } from './usage.ts'

const ROUNDS = 9
const REQUESTS = 1000
const CONCURRENCY = 16

const root = resolve(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
let bytes = 0
const collector = createServer((request, response) => {
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  request.on('end', () => response.end())
}).listen(0, '127.0.0.1')
await once(collector, 'listening')
const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`

const traced = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }
const tenth = { ...traced, OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.1' }
const start = (name: string, settings: Record<string, string>) =>
  startKeyturn(name, root, join(folder, name), { settings })
const subjects = [
  await start('none', {}),
  await start('none-again', {}),
  await start('every', traced),
  await start('tenth', tenth),
]

async function requests({ tokenUrl, secret }: Subject, count: number): Promise<void> {
  let remaining = count
  const sendRequests = async () => {
    for (; remaining > 0; ) {
      remaining -= 1
      const response = await fetch(tokenUrl, {
        method: 'POST',
        headers: { authorization: basic(secret) },
        body: new URLSearchParams({ grant_type: 'client_credentials', scope: SCOPE }),
      })
      if (response.status !== 200) throw new Error(await response.text())
      await response.arrayBuffer()
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, sendRequests))
}

/** Processor time per token in microseconds. */
async function measureCost(subject: Subject): Promise<number> {
  const before = cpuSeconds(subject.pid ?? 0) ?? Number.NaN
  await requests(subject, REQUESTS)
  return (((cpuSeconds(subject.pid ?? 0) ?? Number.NaN) - before) / REQUESTS) * 1e6
}

/** Other processes can only increase the cost, so the lowest value is the most accurate. */
const minimum = (values: readonly number[]) => Math.min(...values)

try {
  for (const subject of subjects) await requests(subject, 1000)
  const costs = subjects.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [i, subject] of subjects.entries()) costs[i]?.push(await measureCost(subject))
  }
  const baseline = minimum(costs[0] ?? [])
  for (const [i, { name }] of subjects.entries()) {
    const own = minimum(costs[i] ?? [])
    process.stdout.write(`${name}: ${own.toFixed(0)} µs, ratio ${(own / baseline).toFixed(2)}\n`)
  }
  process.stdout.write(`${bytes} bytes to the collector\n`)
} finally {
  for (const subject of subjects) await subject.stop()
  collector.closeAllConnections()
  collector.close()
  rmSync(folder, { recursive: true, force: true })
}
