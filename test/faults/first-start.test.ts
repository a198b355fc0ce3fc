import { readdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import t from 'tap'
import { emptyFolder, integrity, readStore, seededFolder } from '../support/processes/data-folder.ts'
import { keyturn, startServer } from '../support/processes/process.ts'

t.test(
  'six servers started at once on an empty folder share one master key and one key ring (docs/security.md Q8, Q9, Q11)',
  async (t) => {
    const folder = emptyFolder(t)
    const settings = { ISSUER: 'http://localhost:3000' }
    const servers = await Promise.all(Array.from({ length: 6 }, () => startServer(t, folder, { settings })))
    const sets = await Promise.all(servers.map((server) => server.inject({ url: '/.well-known/jwks.json' })))
    t.equal(new Set(sets.map(({ body }) => body)).size, 1, 'all serve the same keys')
    t.equal(sets[0]?.json().keys.length, 2)
    for (const server of servers) t.equal((await server.inject({ url: '/health/ready' })).statusCode, 200)

    const firsts = servers.filter((server) => JSON.parse(server.stdout()).first_start)
    t.ok(firsts.length >= 1)
    t.same(
      readdirSync(dirname(folder.masterKey)).sort(),
      ['master.key', 'store.json'],
      'no temporary file is left',
    )
    t.equal(statSync(folder.masterKey).mode & 0o777, 0o600)
    t.equal(statSync(folder.database).mode & 0o777, 0o600)
    t.equal((await readStore(folder, (store) => store.ring.read()))?.version, 1)
    for (const server of servers) t.same(await server.stop(), { code: 0, signal: null })
    t.equal(integrity(folder), 'ok')
  },
)

t.test('four concurrent rotation commands make one rotation (docs/security.md Q9)', async (t) => {
  const folder = await seededFolder(t)
  const results = await Promise.all(
    Array.from({ length: 4 }, () => keyturn(folder, ['keys', 'rotate', '--json'])),
  )
  const done = results.filter(({ code }) => code === 0)
  t.ok(done.length >= 1)
  const refused = results.filter(({ code }) => code !== 0)
  t.ok(
    refused.every(({ code, stderr }) => code === 1 && /not safe to rotate before/.test(stderr)),
    'the commands that came too late were told that rotation is not safe yet',
  )
  const ring = await readStore(folder, (store) => store.ring.read())
  t.equal(ring?.version, 2)
  t.equal(ring?.keys.length, 3)
})
