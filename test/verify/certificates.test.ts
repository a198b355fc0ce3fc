/** Tokens that are bound to a client's certificate (RFC 8705 §3), on real TLS connections and behind a proxy (RFC 9440). */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { connect } from 'node:http2'
import { createServer, request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import express from 'express'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { keyturnFastify } from '../../packages/verify/fastify-typed.ts'
import {
  authenticateRequest,
  clientCertOf,
  keyturnExpress,
  type Verifier,
} from '../../packages/verify/index.ts'
import { callTo } from '../contracts/bearer-guards.ts'
import { selfSigned, type TestCertificate, testAuthority } from '../support/certificates.ts'
import { proof, thumbprintOf } from '../support/dpop/proofs.ts'
import { AUDIENCE, fakeIssuer } from '../support/issuers/fake-issuer.ts'
import { clientKey } from '../support/server/jws.ts'

const authority = await testAuthority()
const [service, client, thief] = await Promise.all([
  authority.issue({ dns: ['localhost'] }),
  authority.issue(),
  authority.issue(),
])
const cnf = { 'x5t#S256': client.thumbprint }

/** A TLS server that asks for certificates and accepts any, as RFC 8705 §3 allows: only the thumbprint counts. */
const TLS = { cert: service.cert, key: service.key, requestCert: true, rejectUnauthorized: false }

async function call(port: number, headers: Record<string, string>, certificate?: TestCertificate) {
  const identity = certificate && { cert: certificate.cert, key: certificate.key }
  const options = { host: 'localhost', port, ca: authority.cert, agent: false, headers, ...identity }
  const request = httpsRequest(options).end()
  const [response] = await once(request, 'response')
  response.resume()
  await once(response, 'end')
  const { 'www-authenticate': challenge } = response.headers
  return { status: response.statusCode, challenge }
}

const SERVERS: Record<string, (t: Test, verifier: Verifier) => Promise<number>> = {
  async Express(t, verifier) {
    const app = express()
    app.use(keyturnExpress({ verifier }))
    app.get('/', (_, response) => void response.json({}))
    const server = createServer(TLS, app).listen(0)
    await once(server, 'listening')
    t.teardown(() => server.close())
    return (server.address() as AddressInfo).port
  },
  async Fastify(t, verifier) {
    const app = Fastify({ https: TLS })
    await app.register(keyturnFastify, { verifier })
    app.get('/', { onRequest: app.requireToken() }, async () => ({}))
    t.teardown(() => app.close())
    await app.listen({ port: 0 })
    return (app.server.address() as AddressInfo).port
  },
}

for (const [name, serve] of Object.entries(SERVERS)) {
  t.test(
    `${name}: a token that is bound to a certificate needs the connection of this certificate (RFC 8705 §3; docs/security.md L133)`,
    async (t) => {
      const issuer = await fakeIssuer(t as Test)
      const port = await serve(t as Test, issuer.verifier())
      const bound = { authorization: `Bearer ${await issuer.token({ cnf })}` }
      t.equal((await call(port, bound, client)).status, 200)
      const none = await call(port, bound)
      t.equal(none.status, 401)
      t.match(none.challenge, /^Bearer .*error="invalid_token"/)
      const other = await call(port, bound, thief)
      t.equal(other.status, 401)
      t.match(other.challenge, /^Bearer .*error="invalid_token".*bound to another certificate/)
      const header = { 'client-cert': `:${client.base64}:` }
      t.equal((await call(port, { ...bound, ...header })).status, 401, 'anyone can send the header')
      t.equal((await call(port, { ...bound, ...header }, thief)).status, 401)

      const self = await selfSigned()
      const ofSelf = {
        authorization: `Bearer ${await issuer.token({ cnf: { 'x5t#S256': self.thumbprint } })}`,
      }
      t.equal((await call(port, ofSelf, self)).status, 200, 'a self-signed certificate')
      const bare = { authorization: `Bearer ${await issuer.token()}` }
      t.equal((await call(port, bare, client)).status, 200, 'a token that is not bound')
    },
  )

  t.test(`${name}: a token that is bound to a certificate and a key needs both`, async (t) => {
    const issuer = await fakeIssuer(t as Test)
    const key = clientKey()
    const jkt = thumbprintOf(key)
    const port = await serve(t as Test, issuer.verifier({ requireBound: true }))
    const token = await issuer.token({ cnf: { ...cnf, jkt } })
    const dpop = () => ({
      authorization: `DPoP ${token}`,
      dpop: proof({ key, method: 'GET', url: AUDIENCE, accessToken: token, now: issuer.time.now() }),
    })
    t.equal((await call(port, dpop(), client)).status, 200)
    t.equal((await call(port, dpop())).status, 401, 'the proof alone')
    t.equal((await call(port, dpop(), thief)).status, 401, 'with another certificate')
    const alone = { authorization: `Bearer ${token}` }
    t.equal((await call(port, alone, client)).status, 401, 'the certificate alone')
    const bare = { authorization: `Bearer ${await issuer.token()}` }
    t.equal((await call(port, bare, client)).status, 401, 'a token that is not bound, with requireBound')
  })
}

t.test('HTTP/2: the certificate of the connection and the address of the request are found', async (t) => {
  const issuer = await fakeIssuer(t as Test)
  const app = Fastify({ http2: true, https: TLS })
  await app.register(keyturnFastify, { verifier: issuer.verifier({ requireBound: true }) })
  app.get('/orders', { onRequest: app.requireToken() }, async () => ({}))
  t.teardown(() => app.close())
  await app.listen({ port: 0, host: 'localhost' })
  const { port } = app.server.address() as AddressInfo
  const origin = `https://localhost:${port}`
  const key = clientKey()
  const token = await issuer.token({ cnf: { ...cnf, jkt: thumbprintOf(key) } })
  const status = async (certificate: TestCertificate, htu = `${origin}/orders`) => {
    const session = connect(origin, { ca: authority.cert, cert: certificate.cert, key: certificate.key })
    const dpop = proof({ key, method: 'GET', url: htu, accessToken: token, now: issuer.time.now() })
    const request = session.request({ ':path': '/orders?page=1', authorization: `DPoP ${token}`, dpop })
    const [headers] = await once(request, 'response')
    request.resume()
    await once(request, 'end')
    session.close()
    return headers[':status']
  }
  t.equal(await status(client), 200)
  t.equal(await status(client, `${origin}/other`), 401)
  t.equal(await status(thief), 401)
})

t.test('a resumed connection still has its certificate', async (t) => {
  const issuer = await fakeIssuer(t as Test)
  const port = await SERVERS.Express?.(t as Test, issuer.verifier())
  const headers = { authorization: `Bearer ${await issuer.token({ cnf })}` }
  const { Agent } = await import('node:https')
  const agent = new Agent({ keepAlive: false, maxCachedSessions: 10 })
  const resumed: boolean[] = []
  for (let i = 0; i < 3; i++) {
    const identity = { cert: client.cert, key: client.key, ca: authority.cert }
    const request = httpsRequest({ host: 'localhost', port, agent, headers, ...identity }).end()
    const [response] = await once(request, 'response')
    resumed.push((request.socket as TLSSocket).isSessionReused())
    response.resume()
    await once(response, 'end')
    t.equal(response.statusCode, 200)
  }
  t.ok(resumed.includes(true), 'one of the connections was resumed')
})

t.test(
  'Client-Cert counts only from a trusted proxy, whose own certificate then does not count (RFC 9440)',
  async (t) => {
    const issuer = await fakeIssuer(t as Test)
    const bearer = ['Authorization', `Bearer ${await issuer.token({ cnf })}`]
    const served = async (trustedProxies: string[]) => {
      const authenticate = keyturnExpress({ verifier: issuer.verifier({ trustedProxies }) })
      const server = createHttpServer((request, response) =>
        authenticate(request, response, () => response.end('{}')),
      )
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      t.teardown(() => server.close())
      return callTo((server.address() as AddressInfo).port)
    }
    const good = ['Client-Cert', `:${client.base64}:`]
    for (const trusted of [['127.0.0.1'], ['10.0.0.0/8', '127.0.0.0/8'], ['127.0.0.1/32', 'fd00::/8']])
      t.equal((await (await served(trusted))('/', [...bearer, ...good])).status, 200, String(trusted))
    for (const untrusted of [[], ['10.0.0.0/8'], ['127.0.0.2']])
      t.equal((await (await served(untrusted))('/', [...bearer, ...good])).status, 401, String(untrusted))

    const behind = await served(['127.0.0.1'])
    const wrong: Record<string, string[]> = {
      'no header': [],
      'of another client': ['Client-Cert', `:${thief.base64}:`],
      repeated: [...good, 'Client-Cert', `:${client.base64}:`],
      'without colons': ['Client-Cert', client.base64],
      'in PEM, escaped': ['Client-Cert', encodeURIComponent(client.cert)],
      empty: ['Client-Cert', '::'],
      'under a name of nginx': ['X-SSL-Client-Cert', `:${client.base64}:`],
    }
    for (const [name, headers] of Object.entries(wrong))
      t.equal((await behind('/', [...bearer, ...headers])).status, 401, name)

    const proxied = await fakeIssuer(t as Test)
    const port = await SERVERS.Express?.(
      t as Test,
      proxied.verifier({ trustedProxies: ['127.0.0.1', '::1'] }),
    )
    const ofProxy = { authorization: `Bearer ${await proxied.token({ cnf })}` }
    t.equal(
      (await call(port ?? 0, ofProxy, client)).status,
      401,
      'the certificate of the connection is the proxy’s',
    )
    const handedOn = { ...ofProxy, 'client-cert': `:${client.base64}:` }
    t.equal((await call(port ?? 0, handedOn, thief)).status, 200)
  },
)

t.test('a certificate is DER, PEM, or an object of node:tls or node:crypto', async (t) => {
  const issuer = await fakeIssuer(t as Test)
  const verifier = issuer.verifier()
  const token = await issuer.token({ cnf })
  const right = {
    DER: client.der,
    'a Uint8Array': new Uint8Array(client.der),
    PEM: client.cert,
    'an X509Certificate': new X509Certificate(client.cert),
    'of getPeerCertificate()': { raw: client.der },
    'a function': () => client.der,
  }
  for (const [name, certificate] of Object.entries(right))
    await t.resolves(verifier.verify(token, { certificate }), name)
  const wrong = {
    none: undefined,
    'of getPeerCertificate() without a certificate': {},
    'of getPeerCertificate() of a closed connection': null as never,
    'empty DER': new Uint8Array(),
    'text that is no certificate': 'x',
    'a function that has none': () => undefined,
  }
  for (const [name, certificate] of Object.entries(wrong))
    await t.rejects(verifier.verify(token, { certificate }), { code: 'proof_required' }, name)
  await t.rejects(verifier.verify(token, { certificate: thief.der }), { code: 'wrong_key' })
})

t.test(
  'a web-standard Request needs the certificate from its caller, who knows whether the proxy is trusted',
  async (t) => {
    const issuer = await fakeIssuer(t as Test)
    const verifier = issuer.verifier()
    const headers = {
      authorization: `Bearer ${await issuer.token({ cnf })}`,
      'client-cert': `:${client.base64}:`,
    }
    const request = new Request(AUDIENCE, { headers })
    t.equal((await authenticateRequest(verifier, request)).response?.status, 401)
    const certificate = clientCertOf(request.headers.get('client-cert'))
    t.ok((await authenticateRequest(verifier, request, { certificate })).claims)
    t.equal(clientCertOf(null), undefined)
  },
)
