import t from 'tap'
import { type Folder, readStore, seededFolder } from '../support/processes/data-folder.ts'
import { keyturn, type ServerProcess, startServer } from '../support/processes/process.ts'
import { compare } from '../support/server/audit-consistency.ts'
import { basic, clientCredentials, login, post } from '../support/server/requests.ts'
import { until } from '../support/server/waiting.ts'

/** The audit fields of a log line. */
function audited(stderr: string): Record<string, unknown>[] {
  return stderr
    .split('\n')
    .filter((line) => line.includes('"audit"'))
    .map((line) => {
      const { level, time, ...fields } = JSON.parse(line)
      return fields
    })
}

const rowsOf = (folder: Folder) => readStore(folder, (store) => store.auditRows.page(0, 100_000))

async function requests(server: ServerProcess, times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    await Promise.all([
      clientCredentials(server),
      post(server, '/oauth2/token', {}, { authorization: basic('machine', 'x') }),
      i % 5 === 0 ? login(server) : undefined,
    ])
  }
}

t.test(
  'an audit log interrupted by a kill verifies and contains only logged events (docs/security.md Q1)',
  async (t) => {
    const folder = await seededFolder(t, { LOG_LEVEL: 'info' })
    const before = await rowsOf(folder)
    let last = ''
    for (const times of [3, 8]) {
      const server = await startServer(t, folder)
      const work = requests(server, 40).catch(() => {})
      await requests(server, times)
      await server.kill()
      await work
      const verified = await keyturn(folder, ['audit', 'verify', '--json'])
      t.match(JSON.parse(verified.stdout), { intact: true, findings: [] })
      t.equal(verified.code, 0)
      last = server.stderr()
      const rows = await rowsOf(folder)
      const { rows: here } = JSON.parse(verified.stdout) as { rows: number }
      t.equal(rows.length, here)
    }
    // Rows of the first server are not counted for the second.
    const lines = audited(last)
    const late = (await rowsOf(folder)).filter(({ fields }) =>
      lines.some((line) => fields.includes(`${line.request_id}`)),
    )
    t.ok(late.length > 0, `${late.length} rows of the one that was killed last`)
    t.same(
      compare(lines, late).filter((complaint) => !complaint.startsWith('logged and not in the store')),
      [],
    )
    t.ok((await rowsOf(folder)).length > before.length)
  },
)

t.test('a stopped server has written all audit events and prints the head of the log', async (t) => {
  const folder = await seededFolder(t, { LOG_LEVEL: 'info' })
  const before = await rowsOf(folder)
  const settings = { ISSUER: 'http://localhost:3000' }
  const servers = await Promise.all([
    startServer(t, folder, { settings }),
    startServer(t, folder, { settings }),
  ])
  await Promise.all(servers.map((server) => requests(server, 24)))
  const beside = async () => (await rowsOf(folder)).length > before.length
  await until(beside)
  t.pass('rows are written while the server runs')
  for (const server of servers) t.equal((await server.stop()).code, 0)
  const lines = servers.flatMap((server) => audited(server.stderr()))
  t.ok(lines.length > 2 * 24 * 2)
  const rows = (await rowsOf(folder)).slice(before.length)
  t.same(compare(lines, rows), [], 'every event of both servers, once')
  t.ok(rows.length < lines.length, 'including counted events')

  const ends = servers.map(
    (server) => /"anchor":"([^"]+)","msg":"audit.head"/.exec(server.stderr())?.[1] ?? '',
  )
  t.match(ends, [/^\d+:[\w-]{43}$/, /^\d+:[\w-]{43}$/])
  t.equal((await keyturn(folder, ['audit', 'verify', '--anchor', ends[0] ?? ''])).code, 0)
  const shown = await keyturn(folder, ['audit', '--user', 'alice', '--event', 'login.succeeded', '--json'])
  t.equal(JSON.parse(shown.stdout).length, lines.filter(({ audit }) => audit === 'login.succeeded').length)
})
