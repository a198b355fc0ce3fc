/** The PostgreSQL of the benchmarks, on the same machine, and what it uses. */
import { readFileSync } from 'node:fs'
import { run } from '../../test/support/postgres/databases.ts'
import { startPostgres } from '../../test/support/postgres/postgres.ts'
import { cpuSeconds } from '../usage.ts'

/** With the defaults of PostgreSQL. The tests use settings that are faster but not durable. */
export const startDurablePostgres = (owner: Parameters<typeof startPostgres>[0]) =>
  startPostgres(owner, {
    settings: {
      fsync: 'on',
      full_page_writes: 'on',
      autovacuum: 'on',
      shared_buffers: '128MB',
      max_connections: '100',
    },
  })

export async function queryNumber(url: string, expression: string): Promise<number> {
  const { rows } = await run(url, `SELECT ${expression} AS value`)
  return Number(rows[0]?.value)
}

/** Returns a function that reads the processor seconds of the database server, including ended child processes. */
export async function cpuOfPostgres(url: string): Promise<() => number> {
  const backend = await queryNumber(url, 'pg_backend_pid()')
  const server = Number(
    readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
      .split(' ')
      .find((pid) => childrenOf(Number(pid)).length > 3 && backend > Number(pid)),
  )
  return () => {
    const fields = statFields(server)
    const endedChildren = (Number(fields[13]) + Number(fields[14])) / 100
    return childrenOf(server).reduce(
      (sum, pid) => sum + (cpuSeconds(pid) ?? 0),
      (cpuSeconds(server) ?? 0) + endedChildren,
    )
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number)
  } catch {
    return []
  }
}

function statFields(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
