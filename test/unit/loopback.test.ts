import t from 'tap'
import {
  isCallableLoopbackHost,
  isDeviceHost,
  isLoopbackAddress,
  isLoopbackHost,
  isLoopbackRedirectUri,
  loopbackUriWithoutPort,
} from '../../src/loopback.ts'

/** A host as the URL parser writes it; whether an issuer may use http there, the server may call it, it is the user’s device. */
const HOSTS: readonly [host: string, issuer: boolean, callable: boolean, device: boolean][] = [
  ['localhost', true, true, true],
  ['127.0.0.1', true, true, true],
  ['[::1]', true, true, true],
  ['127.0.0.2', true, false, true],
  ['127.255.255.254', true, false, true],
  ['app.localhost', false, false, true],
  ['localhost.example.com', false, false, false],
  ['127.0.0.1.example.com', false, false, false],
  ['notlocalhost', false, false, false],
  ['128.0.0.1', false, false, false],
  ['0.0.0.0', false, false, false],
  ['[::ffff:7f00:1]', false, false, false],
  ['[::]', false, false, false],
  ['10.0.0.1', false, false, false],
  ['', false, false, false],
]

t.test(
  'which hosts are loopback depends on the question (RFC 8414 §2, OAuth 2.1 §8.4.2, RFC 6761 §6.3)',
  async (t) => {
    for (const [host, issuer, callable, device] of HOSTS) {
      t.equal(isLoopbackHost(host), issuer, `issuer at ${host}`)
      t.equal(isCallableLoopbackHost(host), callable, `call to ${host}`)
      t.equal(isDeviceHost(host), device, `device at ${host}`)
    }
  },
)

/** A redirect URI; whether it may be registered with plain http, and its form without the port if any port is allowed. */
const REDIRECT_URIS: readonly [uri: string, loopback: boolean, withoutPort: string | null][] = [
  ['http://127.0.0.1/cb', true, 'http://127.0.0.1/cb'],
  ['http://127.0.0.1:8000/cb', true, 'http://127.0.0.1/cb'],
  ['http://127.0.0.1:65535', true, 'http://127.0.0.1'],
  ['http://127.0.0.1:65536/cb', true, null],
  ['http://127.0.0.1:0/cb', true, null],
  ['http://[::1]:8000?x=1', true, 'http://[::1]?x=1'],
  ['http://localhost/cb', true, null],
  ['http://localhost:8000/cb', true, null],
  ['http://127.0.0.2/cb', false, null],
  ['http://0x7f.1/cb', false, null],
  ['http://127.1/cb', false, null],
  ['http://[::ffff:127.0.0.1]/cb', false, null],
  ['http://LOCALHOST/cb', false, null],
  ['http://app.localhost/cb', false, null],
  ['http://localhost.example.com/cb', false, null],
  ['http://127.0.0.1@example.com/', false, null],
  ['http://127.0.0.1:80@example.com/', false, null],
  ['https://127.0.0.1/cb', false, null],
]

t.test(
  'redirect URIs on loopback: any port for IP literals, none for localhost (RFC 8252 §7.3, §8.3)',
  async (t) => {
    for (const [uri, loopback, withoutPort] of REDIRECT_URIS) {
      t.equal(isLoopbackRedirectUri(uri), loopback, uri)
      t.equal(loopbackUriWithoutPort(uri), withoutPort, uri)
    }
  },
)

t.test(
  'a peer on this machine is recognised by its address in IPv4, IPv6 and mapped form (RFC 4291 §2.5.5.2)',
  async (t) => {
    for (const [address, expected] of [
      ['127.0.0.1', true],
      ['127.0.0.53', true],
      ['::1', true],
      ['::ffff:127.0.0.1', true],
      ['10.0.0.1', false],
      ['::ffff:10.0.0.1', false],
      ['fe80::1', false],
      ['::', false],
      ['', false],
    ] as const) {
      t.equal(isLoopbackAddress(address), expected, address)
    }
  },
)
