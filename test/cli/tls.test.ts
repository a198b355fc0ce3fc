/** TLS in a real process: what it announces, how a command finds it, and what is refused at the start. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { selfSigned } from '../support/certificates.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'
import { keyturn, startServer } from '../support/processes/process.ts'
import { freePort } from '../support/server/free-port.ts'
import { tlsFetch, tlsFolder, writeServerFiles } from '../support/server/tls.ts'

t.test('the server, its administration and its port for certificates speak TLS', async (t) => {
  const folder = emptyFolder(t as Test)
  const { settings, authority } = await tlsFolder(t.testdir())
  const all = { ...settings, MTLS_PORT: '0', ADMIN_PORT: '0', PORT: String(await freePort()) }
  const server = await startServer(t as Test, folder, { settings: all })
  const announced = JSON.parse(server.stdout())
  t.equal(announced.issuer, `https://localhost:${all.PORT}`)
  const fetch = tlsFetch(authority, undefined, t as Test)
  const metadata = await (await fetch(`${announced.issuer}/.well-known/openid-configuration`)).json()
  t.match(metadata, { issuer: announced.issuer, token_endpoint: `${announced.issuer}/oauth2/token` })
  t.equal((await fetch(`https://localhost:${announced.admin_port}/admin/v1/roles`)).status, 401)
  t.equal((await fetch(`https://localhost:${announced.mtls_port}/oauth2/userinfo`)).status, 401)

  const doctor = await keyturn(folder, ['doctor', '--json'], { settings: all })
  const findings: { check: string; ok: boolean; message: string }[] = JSON.parse(doctor.stdout)
  t.match(
    findings.find(({ check }) => check === 'TLS'),
    { ok: true, message: /^the certificate is for localhost, and valid until / },
  )
  const second = await keyturn(folder, ['serve'], { settings: all })
  t.equal(second.code, 1)
  t.match(second.stderr, `Keyturn is already running as ${announced.issuer}`)
  t.same(await server.stop(), { code: 0, signal: null })
})

t.test('the doctor reaches a server whose certificate only its clients trust', async (t) => {
  const folder = emptyFolder(t as Test)
  const { settings } = await tlsFolder(t.testdir())
  const all = { ...settings, MTLS_PORT: '0', PORT: String(await freePort()), ISSUER: 'https://localhost:1' }
  await startServer(t as Test, folder, { settings: all })
  const doctor = await keyturn(folder, ['doctor', '--json'], { settings: all })
  const findings: { check: string; message: string }[] = JSON.parse(doctor.stdout)
  t.match(
    findings.find(({ check }) => check === 'server')?.message,
    `running at https://127.0.0.1:${all.PORT}, and https://localhost:1 is not reachable from here; it publishes the keys of this store`,
  )
})

t.test('the doctor says that a certificate has expired, or is for another host', async (t) => {
  const folder = emptyFolder(t as Test)
  const { settings, authority } = await tlsFolder(t.testdir())
  const findTls = async () => {
    const all = { ...settings, MTLS_PORT: '0', PORT: String(await freePort()) }
    const { stdout } = await keyturn(folder, ['doctor', '--json'], { settings: all })
    return JSON.parse(stdout).find(({ check }: { check: string }) => check === 'TLS')
  }
  const past = { notBefore: new Date('2026-01-01'), notAfter: new Date('2026-01-02') }
  writeServerFiles(settings, await authority.issue({ dns: ['localhost'], ...past }))
  t.match(await findTls(), { ok: false, message: /expired at 2026-01-02/ })
  writeServerFiles(settings, await authority.issue({ dns: ['other.example'] }))
  t.match(await findTls(), { ok: false, message: /is not for localhost, the host of the issuer$/ })
  writeFileSync(settings.TLS_KEY_FILE, 'no key')
  t.match(await findTls(), { ok: false, message: /are no certificate with its key/ })
})

t.test('a server whose files cannot be used does not start, and creates no store', async (t) => {
  const folder = emptyFolder(t as Test)
  const { settings } = await tlsFolder(t.testdir())
  const missing = { ...settings, TLS_CERT_FILE: join(folder.path, 'none.pem'), MTLS_PORT: '0' }
  const refused = await keyturn(folder, ['serve'], { settings: missing })
  t.equal(refused.code, 2)
  t.match(refused.stderr, 'KEYTURN_TLS_CERT_FILE cannot be read (ENOENT)')
  const noAuthority = { ...settings, MTLS_PORT: '0' }
  writeFileSync(settings.TLS_CLIENT_CA_FILE, (await selfSigned()).cert)
  const second = await keyturn(folder, ['serve'], { settings: noAuthority })
  t.equal(second.code, 2)
  t.match(second.stderr, 'KEYTURN_TLS_CLIENT_CA_FILE has a certificate that is not of an authority')
  t.notOk(existsSync(folder.database))
})
