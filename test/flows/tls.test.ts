/** TLS of the server itself: what it speaks, how it renews its certificate, and how its connections end. */
import { once } from 'node:events'
import { renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { openTlsFiles } from '../../src/http/tls/files.ts'
import { selfSigned, type TestAuthority, testAuthority } from '../support/certificates.ts'
import { testLogger } from '../support/server/log.ts'
import { testConfig } from '../support/server/server.ts'
import { type TlsServer, tlsServer, writeServerFiles } from '../support/server/tls.ts'
import { until } from '../support/server/waiting.ts'

async function open(
  t: Test,
  url: string,
  authority: Pick<TestAuthority, 'cert'>,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = connect({
    host: '127.0.0.1',
    port: Number(new URL(url).port),
    servername: 'localhost',
    ca: authority.cert,
    ...options,
  })
  t.teardown(() => socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

/** Sends a request on an open connection, and returns the status line. */
async function get(socket: TLSSocket, path = '/health/live'): Promise<string> {
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
  const [data] = await once(socket, 'data')
  return String(data).split('\r\n', 1)[0] ?? ''
}

const serverName = (socket: TLSSocket) => socket.getPeerX509Certificate()?.subject

t.test(
  'the main port speaks HTTPS and asks for no certificate; the other port asks for one (docs/security.md X6)',
  async (t) => {
    const { issuer, mtls, authority, fetch } = await tlsServer(t as Test)
    const response = await fetch()(`${issuer}/.well-known/openid-configuration`)
    t.match(await response.json(), { issuer })
    const client = await authority.issue()
    const options = { cert: client.cert, key: client.key }
    // TLS 1.2, in which a client knows after the handshake whether it was asked.
    const asked = await open(t as Test, mtls, authority, { ...options, maxVersion: 'TLSv1.2' })
    const notAsked = await open(t as Test, issuer, authority, { ...options, maxVersion: 'TLSv1.2' })
    t.equal(asked.getCertificate() !== null && Object.keys(asked.getCertificate() ?? {}).length > 0, true)
    t.match(await get(notAsked), '200')
    t.match(await get(asked), '404', 'pages and health are on the main port only')
  },
)

t.test('the port for certificates has the endpoints for clients, and no page', async (t) => {
  const { mtls, fetch } = await tlsServer(t as Test)
  const send = fetch()
  for (const [path, error] of [
    ['token', 'invalid_request'],
    ['revoke', 'invalid_client'],
    ['introspect', 'invalid_client'],
    ['par', 'invalid_client'],
  ] as const) {
    const url = `${mtls}/oauth2/${path}`
    t.equal((await send(url)).status, 405, path)
    const refused = await send(url, { method: 'POST', body: new URLSearchParams() })
    t.match(await refused.json(), { error }, path)
  }
  t.equal((await send(`${mtls}/oauth2/userinfo`)).status, 401)
  const preflight = await send(`${mtls}/oauth2/token`, { method: 'OPTIONS' })
  t.equal(preflight.headers.get('access-control-allow-origin'), '*')
  for (const path of [
    '/oauth2/authorize',
    '/login',
    '/account',
    '/admin',
    '/.well-known/jwks.json',
    '/metrics',
  ])
    t.equal((await send(mtls + path)).status, 404, path)
  t.equal(
    (await send(`${mtls}/admin/v1/roles`)).status,
    401,
    'the administration API checks certificates too',
  )
})

t.test('with a port of its own, the administration is not on the port for certificates', async (t) => {
  const { mtls, fetch } = await tlsServer(t as Test, { settings: { ADMIN_PORT: '0' } })
  t.equal((await fetch()(`${mtls}/admin/v1/roles`)).status, 404)
})

t.test(
  'only TLS 1.2 and 1.3 with the cipher suites of RFC 9325 §4.2 are spoken (docs/security.md X6)',
  async (t) => {
    const { issuer, mtls, authority } = await tlsServer(t as Test)
    for (const url of [issuer, mtls]) {
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const socket = await open(t as Test, url, authority, { minVersion: version, maxVersion: version })
        t.equal(socket.getProtocol(), version)
      }
      const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const
      await t.rejects(open(t as Test, url, authority, old), 'TLS 1.1')
      for (const ciphers of [
        'ECDHE-ECDSA-AES128-SHA256',
        'ECDHE-ECDSA-CHACHA20-POLY1305',
        'AES128-GCM-SHA256',
      ])
        await t.rejects(open(t as Test, url, authority, { maxVersion: 'TLSv1.2', ciphers }), ciphers)
    }
  },
)

t.test(
  'a client cannot renegotiate, or resume a session without its certificates (docs/security.md X6)',
  async (t) => {
    const { mtls, authority } = await tlsServer(t as Test)
    const { cert, key } = await authority.issue()
    const socket = await open(t as Test, mtls, authority, { cert, key, maxVersion: 'TLSv1.2' })
    const session = socket.getSession()
    const refused = once(socket, 'error')
    socket.renegotiate({}, () => {})
    t.match(await refused, [{ code: 'ERR_SSL_NO_RENEGOTIATION' }])
    const again = await open(t as Test, mtls, authority, { session, maxVersion: 'TLSv1.2' })
    t.equal(again.isSessionReused(), false)
  },
)

t.test('plain HTTP on a port with TLS is refused, and the server goes on', async (t) => {
  const { issuer, fetch } = await tlsServer(t as Test)
  const plain = connectTcp(Number(new URL(issuer).port), '127.0.0.1')
  t.teardown(() => plain.destroy())
  plain.write('GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n')
  plain.on('error', () => {})
  await once(plain, 'close')
  t.equal((await fetch()(`${issuer}/health/live`)).status, 200)
})

async function renewed(t: Test, { authority, issuer }: TlsServer, name: string): Promise<void> {
  await until(async () => {
    const socket = await open(t, issuer, authority)
    const subject = serverName(socket)
    socket.destroy()
    return subject === `CN=${name}`
  })
}

t.test('a new certificate is for new connections, and open ones continue (both ports)', async (t) => {
  const tls = await tlsServer(t as Test)
  const { issuer, mtls, authority, settings } = tls
  const before = await open(t as Test, issuer, authority)
  const beforeMtls = await open(t as Test, mtls, authority)
  t.match(await get(before), '200')
  writeServerFiles(settings, await authority.issue({ dns: ['localhost'], subject: [{ CN: ['second'] }] }))
  await renewed(t as Test, tls, 'second')
  t.equal(serverName(await open(t as Test, mtls, authority)), 'CN=second')
  t.match(await get(before), '200', 'the connection is still open')
  t.match(await get(beforeMtls), '404', 'on the other port too')
  // The settings of the protocol must not be lost with the new certificate.
  await t.rejects(
    open(t as Test, issuer, authority, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' }),
  )
})

t.test('files that cannot be used keep the certificate before, and are logged once', async (t) => {
  const tls = await tlsServer(t as Test)
  const { issuer, authority, settings, server } = tls
  const problems = () => server.logger.lines.filter(({ level }) => level === 'error')
  const first = serverName(await open(t as Test, issuer, authority))
  writeFileSync(settings.TLS_CERT_FILE, (await selfSigned()).cert)
  await until(() => problems().length > 0)
  t.match(problems()[0]?.fields, { file: settings.TLS_CERT_FILE, problem: /no certificate with its key/ })
  t.equal(serverName(await open(t as Test, issuer, authority)), first)
  writeServerFiles(settings, await authority.issue({ dns: ['localhost'], subject: [{ CN: ['third'] }] }))
  await renewed(t as Test, tls, 'third')
  t.equal(problems().length, 1)
})

t.test('a link that leads to another folder renews the certificate, as in Kubernetes', async (t) => {
  const folder = t.testdir()
  const authority = await testAuthority()
  for (const name of ['one', 'two']) {
    await mkdir(join(folder, name))
    const files = {
      TLS_CERT_FILE: join(folder, name, 'tls.crt'),
      TLS_KEY_FILE: join(folder, name, 'tls.key'),
    }
    writeServerFiles(files, await authority.issue({ subject: [{ CN: [name] }] }))
  }
  symlinkSync('one', join(folder, 'current'))
  const settings = {
    TLS_CERT_FILE: join(folder, 'current', 'tls.crt'),
    TLS_KEY_FILE: join(folder, 'current', 'tls.key'),
  }
  const logger = testLogger()
  const files = await openTlsFiles(testConfig(settings), logger, 20)
  t.teardown(() => files?.stop())
  const contexts: unknown[] = []
  files?.renew({ setSecureContext: (options) => contexts.push(options) })
  symlinkSync('two', join(folder, 'next'))
  renameSync(join(folder, 'next'), join(folder, 'current'))
  await until(() => contexts.length > 0)
  t.equal(contexts.length, 1)
  t.equal(contexts[0], files?.options(), 'a listener that is opened later gets it too')
})

t.test(
  'a key that others can read, or that is of another certificate, is refused at the start',
  async (t) => {
    const folder = t.testdir()
    const settings = { TLS_CERT_FILE: join(folder, 'server.pem'), TLS_KEY_FILE: join(folder, 'server.key') }
    const open = () => openTlsFiles(testConfig(settings), testLogger())
    await t.rejects(open(), { message: 'KEYTURN_TLS_CERT_FILE cannot be read (ENOENT)' })
    const [one, other] = [await selfSigned(), await selfSigned()]
    writeServerFiles(settings, one)
    writeFileSync(settings.TLS_KEY_FILE, other.key)
    await t.rejects(open(), {
      message: /^KEYTURN_TLS_CERT_FILE and KEYTURN_TLS_KEY_FILE are no certificate/,
    })
    const exposed = { ...settings, TLS_KEY_FILE: join(folder, 'exposed.key') }
    writeFileSync(exposed.TLS_KEY_FILE, one.key, { mode: 0o644 })
    await t.rejects(openTlsFiles(testConfig(exposed), testLogger()), {
      message: /^KEYTURN_TLS_KEY_FILE: .* can be read by others/,
    })
  },
)

t.test(
  'a server that stops does not wait for a handshake, or for a connection without a request',
  async (t) => {
    const { issuer, authority, server } = await tlsServer(t as Test)
    const port = Number(new URL(issuer).port)
    const silent = connectTcp(port, '127.0.0.1')
    await once(silent, 'connect')
    const unused = await open(t as Test, issuer, authority)
    const ended = Promise.all([once(silent, 'close'), once(unused, 'close')])
    for (const socket of [silent, unused]) socket.on('error', () => {}).resume()
    await server.app.close()
    await ended
  },
)

t.test('connections with TLS count towards the limit, and an idle one makes room', async (t) => {
  const { issuer, authority } = await tlsServer(t as Test, { settings: { MAX_CONNECTIONS: '20' } })
  // A quarter of the connections for one address.
  const sockets = await Promise.all(Array.from({ length: 5 }, () => open(t as Test, issuer, authority)))
  for (const socket of sockets) t.match(await get(socket), '200')
  const [oldest] = sockets
  const closed = once(oldest as TLSSocket, 'close')
  oldest?.on('error', () => {}).resume()
  const sixth = await open(t as Test, issuer, authority)
  await closed
  t.match(await get(sixth), '200')
})
