/** A server that speaks TLS on ports of this machine, and clients with and without certificates. */
import { writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { createMtlsApp } from '../../../src/http/app.ts'
import { openTlsFiles } from '../../../src/http/tls/files.ts'
import { type TestAuthority, type TestCertificate, testAuthority } from '../certificates.ts'
import { freePort } from './free-port.ts'
import { type TestServer, type TestServerOptions, testServer } from './server.ts'

export interface TlsFolder {
  /** The authority of the server's certificate and of the clients' certificates. */
  readonly authority: TestAuthority
  readonly settings: Readonly<Record<'TLS_CERT_FILE' | 'TLS_KEY_FILE' | 'TLS_CLIENT_CA_FILE', string>>
}

/** The files of a server's TLS, in a folder of the test. */
export async function tlsFolder(folder: string): Promise<TlsFolder> {
  const authority = await testAuthority()
  const settings = {
    TLS_CERT_FILE: join(folder, 'server.pem'),
    TLS_KEY_FILE: join(folder, 'server.key'),
    TLS_CLIENT_CA_FILE: join(folder, 'clients.pem'),
  }
  writeServerFiles(settings, await authority.issue({ dns: ['localhost'], ip: ['127.0.0.1'] }))
  writeFileSync(settings.TLS_CLIENT_CA_FILE, authority.cert)
  return { authority, settings }
}

export function writeServerFiles(
  { TLS_CERT_FILE, TLS_KEY_FILE }: Pick<TlsFolder['settings'], 'TLS_CERT_FILE' | 'TLS_KEY_FILE'>,
  { cert, key }: Pick<TestCertificate, 'cert' | 'key'>,
): void {
  writeFileSync(TLS_KEY_FILE, key, { mode: 0o600 })
  writeFileSync(TLS_CERT_FILE, cert)
}

export interface TlsServer extends TlsFolder {
  readonly server: TestServer
  readonly mtlsApp: FastifyInstance
  readonly issuer: string
  /** What the URLs of the port that asks for certificates begin with. */
  readonly mtls: string
  /** Sends requests with this client certificate, or with none; trusts the authority of the server. */
  fetch(certificate?: Pick<TestCertificate, 'cert' | 'key'>): typeof globalThis.fetch
}

const RELOAD_MS = 20

export async function tlsServer(t: Test, options: TestServerOptions = {}): Promise<TlsServer> {
  const folder = await tlsFolder(t.testdir())
  const [port, mtlsPort] = [await freePort(), await freePort()]
  const issuer = `https://localhost:${port}`
  const server = await testServer({
    ...options,
    settings: {
      ISSUER: issuer,
      ...folder.settings,
      MTLS_PORT: String(mtlsPort),
      ...options.settings,
    },
    openTls: (config, logger) => openTlsFiles(config, logger, RELOAD_MS),
  })
  t.teardown(() => server.close())
  const mtlsApp = await createMtlsApp(server.appDeps)
  t.teardown(() => mtlsApp.close())
  await server.app.listen({ port, host: '127.0.0.1' })
  await mtlsApp.listen({ port: mtlsPort, host: '127.0.0.1' })
  const mtls = `https://localhost:${mtlsPort}`
  return {
    ...folder,
    server,
    mtlsApp,
    issuer,
    mtls,
    fetch: (certificate) => tlsFetch(folder.authority, certificate, t),
  }
}

/** `fetch` over Node's own client, which can present a certificate. Every request has a connection of its own. */
export function tlsFetch(
  authority: Pick<TestCertificate, 'cert'>,
  certificate?: Pick<TestCertificate, 'cert' | 'key'>,
  t?: Test,
): typeof globalThis.fetch {
  const agent = new Agent({
    ca: authority.cert,
    ...(certificate ? { cert: certificate.cert, key: certificate.key } : {}),
  })
  t?.teardown(() => agent.destroy())
  return async (input, init) => {
    const given = new Request(input, init)
    const body = Buffer.from(await given.arrayBuffer())
    return new Promise<Response>((resolve, reject) => {
      const sent = request(
        given.url,
        {
          agent,
          method: given.method,
          headers: {
            ...Object.fromEntries(given.headers),
            ...(body.length > 0 ? { 'content-length': body.length } : {}),
          },
        },
        (response) => {
          const chunks: Buffer[] = []
          response
            .on('data', (chunk: Buffer) => chunks.push(chunk))
            .once('error', reject)
            .once('end', () => {
              const headers = new Headers()
              for (const [name, values] of Object.entries(response.headersDistinct))
                for (const value of values ?? []) headers.append(name, value)
              const status = response.statusCode ?? 0
              const empty = status === 204 || status === 304
              resolve(new Response(empty ? null : Buffer.concat(chunks), { status, headers }))
            })
        },
      )
      sent.once('error', reject)
      sent.end(body)
    })
  }
}
