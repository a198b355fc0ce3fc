/** Which URL a proof must be for: the header Host must not decide it (RFC 9449 §4.3, §11.1). */
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { keyturnFastify } from '../../packages/verify/fastify-typed.ts'
import { authenticateRequest, keyturnExpress, type VerifierOptions } from '../../packages/verify/index.ts'
import { normalizedUrl, requestUrls } from '../../packages/verify/request-url.ts'
import { proof as proofOf, thumbprintOf } from '../support/dpop/proofs.ts'
import { fakeIssuer } from '../support/issuers/fake-issuer.ts'
import { clientKey } from '../support/server/jws.ts'

async function service(t: Test, options: Partial<VerifierOptions> = {}) {
  const issuer = await fakeIssuer(t)
  const key = clientKey()
  const token = await issuer.token({ cnf: { jkt: thumbprintOf(key) } })
  const proof = (url: string) =>
    proofOf({ key, method: 'GET', url, accessToken: token, now: issuer.time.now() })
  const verifier = issuer.verifier(options)
  const app = express()
  const router = express.Router()
  router.get('/:id', (_, response) => void response.json({}))
  app.use('/orders', keyturnExpress({ verifier }), router)
  const server = createServer(app).listen(0)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const status = async (url: string, headers: Record<string, string>, path = '/orders/7') => {
    const dpop = proof(url)
    const request = httpRequest({
      host: 'localhost',
      port,
      path,
      agent: false,
      headers: { ...headers, dpop, authorization: `DPoP ${token}` },
    }).end()
    const [response] = await once(request, 'response')
    response.resume()
    return response.statusCode
  }
  return { token, proof, verifier, port, status }
}

t.test('a forged Host does not make a proof for another server valid', async (t) => {
  const { status } = await service(t as Test)
  for (const host of [
    'evil.example',
    'orders.example.evil.example',
    'evil.example:80',
    'orders.example@evil.example',
  ]) {
    t.equal(await status(`http://${host}/orders/7`, { host }), 401, host)
    t.equal(await status(`https://${host}/orders/7`, { host, 'x-forwarded-proto': 'https' }), 401, host)
  }
  const forwarded = {
    host: 'orders.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
  }
  t.equal(await status('https://evil.example/orders/7', forwarded), 401)
  t.equal(
    await status('http://evil.example/orders/7', {}, 'http://evil.example/orders/7'),
    401,
    'a whole URL as target',
  )
})

t.test(
  'without baseUrl, the origin of an audience that is a URL counts, in a mounted router too',
  async (t) => {
    const { status } = await service(t as Test, { audience: ['orders', 'https://orders.example'] })
    t.equal(await status('https://orders.example/orders/7', {}), 200)
    t.equal(await status('https://orders.example/orders/7', { host: 'evil.example' }), 200)
    t.equal(await status('https://orders.example/orders/7', {}, 'http://evil.example/orders/7?x=1'), 200)
    t.equal(await status('https://orders.example/7', {}), 401)
  },
)

t.test(
  'a caller on this machine may use a loopback address, unless a proxy has forwarded the request',
  async (t) => {
    const { status, port } = await service(t as Test)
    for (const name of ['localhost', '127.0.0.1', 'orders.localhost', '[::1]']) {
      const host = `${name}:${port}`
      t.equal(await status(`http://${host}/orders/7`, { host }), 200, host)
      t.equal(await status(`https://${host}/orders/7`, { host }), 401, 'another scheme')
      for (const header of ['forwarded', 'via', 'x-forwarded-for', 'x-real-ip'])
        t.equal(await status(`http://${host}/orders/7`, { host, [header]: '203.0.113.9' }), 401, header)
    }
    const host = `localhost:${port}`
    const configured = await service(t as Test, { baseUrl: 'https://orders.example' })
    t.equal(await configured.status(`http://${host}/orders/7`, { host }), 401, 'only what is configured')
  },
)

t.test('a request from another machine has no loopback address', (t) => {
  const target = { path: '/', host: 'localhost:4000', secure: false, header: () => undefined }
  const rules = { baseUrl: undefined, audiences: ['orders'] }
  t.same(requestUrls({ ...target, peer: '127.0.0.1' }, rules), ['http://localhost:4000/'])
  t.same(requestUrls({ ...target, peer: '::ffff:127.0.0.1' }, rules), ['http://localhost:4000/'])
  for (const peer of ['203.0.113.9', '::2', '::ffff:10.0.0.1', undefined])
    t.same(requestUrls({ ...target, peer }, rules), [], String(peer))
  t.end()
})

t.test('a web-standard Request has its URL from Host, so the URL does not count', async (t) => {
  const { token, proof, verifier } = await service(t as Test)
  const accepted = async (url: string, htu = url) => {
    const dpop = proof(htu)
    const request = new Request(url, { headers: { authorization: `DPoP ${token}`, dpop } })
    return (await authenticateRequest(verifier, request)).claims !== undefined
  }
  t.equal(await accepted('https://orders.example/orders'), true)
  t.equal(await accepted('http://internal:8080/orders', 'https://orders.example/orders'), true)
  t.equal(await accepted('https://evil.example/orders'), false)
  t.equal(await accepted('http://localhost:8080/orders'), false)
})

t.test('a Fastify app without a port works too', async (t) => {
  const { token, proof, verifier } = await service(t as Test)
  const app = Fastify()
  await app.register(keyturnFastify, { verifier })
  t.teardown(() => app.close())
  app.get('/orders', { onRequest: app.requireToken() }, async () => ({}))
  const dpop = proof('http://localhost/orders')
  const { statusCode } = await app.inject({
    url: '/orders',
    headers: { authorization: `DPoP ${token}`, dpop },
  })
  t.equal(statusCode, 200)
})

t.test(
  'URLs are normalised by syntax and scheme, and those that parsers read differently are refused (RFC 3986 §6.2)',
  (t) => {
    const equal: [string, string][] = [
      ['HTTP://Orders.EXAMPLE:80', 'http://orders.example/'],
      ['https://orders.example:443/a?b#c', 'https://orders.example/a'],
      ['https://orders.example/%7euser/%2f%C3%BC', 'https://orders.example/~user/%2F%C3%BC'],
      ['https://orders.example/a/./b/../c', 'https://orders.example/a/c'],
      ['https://orders.example/a;b=c,d@e:f', 'https://orders.example/a;b=c,d@e:f'],
      ['https://[::1]:8443/a', 'https://[::1]:8443/a'],
    ]
    for (const [url, expected] of equal) t.equal(normalizedUrl(url), expected)
    const refused = [
      '',
      '/orders',
      'orders.example/a',
      'ftp://orders.example/',
      'https://user@orders.example/',
      'https://:x@orders.example/',
      'https://orders.example\\a',
      'https://orders.example/a b',
      'https://orders.example/a\tb',
      'https://orders.example/ü',
      'https://orders.example/%zz',
      'https://orders.example/%2',
      'https://orders.example/"<>^`{|}',
      'https://',
      ' https://orders.example/',
    ]
    for (const url of refused) t.equal(normalizedUrl(url), undefined, JSON.stringify(url))
    t.end()
  },
)
