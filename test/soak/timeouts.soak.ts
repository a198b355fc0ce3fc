/** The real timeouts, waited for. */
import { readdirSync } from 'node:fs'
import t from 'tap'
import { seededFolder, signIn, withOpened } from '../support/processes/data-folder.ts'
import { type ServerProcess, startServer } from '../support/processes/process.ts'
import { basic, encodeForm, post, refresh } from '../support/server/requests.ts'
import { openConnection, postBytes } from '../support/server/tcp-connection.ts'
import { until } from '../support/server/waiting.ts'

t.test('a stop completes even if a client does not (docs/security.md Q17)', async (t) => {
  const server = await startServer(t, await seededFolder(t))
  const half = await openConnection(t, server.port)
  const silent = await openConnection(t, server.port)
  half.send(postBytes('/oauth2/token', 'grant_type=x', ['expect: 100-continue']).slice(0, -1))
  await half.until(/100 Continue/)
  t.same(await server.stop(), { code: 0, signal: null })
  await Promise.all([half.closed, silent.closed])
})

t.test('the timeouts apply in the real program (RFC 9110 §15.5.9; docs/security.md Q12)', async (t) => {
  const server = await startServer(t, await seededFolder(t))
  const silent = await openConnection(t, server.port)
  const headers = await openConnection(t, server.port)
  headers.send('POST /oauth2/token HTTP/1.1\r\nhost: x\r\n')
  const body = await openConnection(t, server.port)
  body.send(postBytes('/oauth2/token', 'grant_type=x').slice(0, -1))
  t.match(await headers.closed, /^HTTP\/1\.1 408 /)
  await silent.closed
  t.match(await body.closed, /^HTTP\/1\.1 408 /)
})

const descriptors = ({ pid }: ServerProcess) => readdirSync(`/proc/${pid}/fd`).length

t.test(
  'half a minute of misbehaving clients leaves nothing behind (docs/security.md Q16, Q19)',
  async (t) => {
    const folder = await seededFolder(t, { LOG_LEVEL: 'debug' })
    const tokens = await withOpened(folder, (opened) => signIn(opened, 20))
    const server = await startServer(t, folder, { log: 'unread' })
    const polite = () =>
      Promise.all(Array.from({ length: 20 }, () => post(server, '/oauth2/token', { junk: 'x'.repeat(5000) })))
    await polite()
    const before = descriptors(server)

    const end = Date.now() + 30_000
    for (let i = 0; Date.now() < end; i += 1) {
      const token = tokens[i % tokens.length] ?? ''
      const form = encodeForm({ grant_type: 'refresh_token', refresh_token: token })
      const bytes = postBytes('/oauth2/token', form, [`authorization: ${basic('app')}`])
      const rude = await Promise.all(Array.from({ length: 20 }, () => openConnection(t, server.port)))
      for (const connection of rude) connection.send(bytes.slice(0, Math.ceil(Math.random() * bytes.length)))
      await polite()
      for (const connection of rude) connection.reset()
      const answer = await refresh(server, token)
      if (answer.statusCode !== 200) t.fail(answer.body)
      tokens[i % tokens.length] = answer.json().refresh_token
    }
    await until(() => descriptors(server) <= before + 5)
    t.pass('no descriptor is left')
    t.equal((await server.inject({ url: '/health/ready' })).statusCode, 200)
    t.same(await server.stop(), { code: 0, signal: null })
  },
)
