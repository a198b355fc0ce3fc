import t from 'tap'
import { localUrl } from '../../src/cli/local-server.ts'
import { hostAndPort, plainAddress } from '../../src/ip-address.ts'

t.test('an IPv6 address before a port is in brackets (RFC 3986 §3.2.2)', async (t) => {
  t.equal(hostAndPort('::1', 3000), '[::1]:3000')
  t.equal(hostAndPort('127.0.0.1', 3000), '127.0.0.1:3000')
  t.equal(hostAndPort('login.example', 3000), 'login.example:3000')
})

t.test('a server that listens on every address is reached on this machine', async (t) => {
  t.equal(localUrl({ host: '0.0.0.0', port: 80, tlsCertFile: null }), 'http://127.0.0.1:80')
  t.equal(localUrl({ host: '::', port: 80, tlsCertFile: null }), 'http://[::1]:80')
  t.equal(localUrl({ host: 'fd00::1', port: 80, tlsCertFile: null }), 'http://[fd00::1]:80')
})

t.test(
  'an IPv4 address is written as IPv4, on whichever socket it arrives (RFC 4291 §2.5.5.2)',
  async (t) => {
    t.equal(plainAddress('::ffff:192.0.2.1'), '192.0.2.1')
    t.equal(plainAddress('0:0:0:0:0:FFFF:c000:201'), '192.0.2.1')
    for (const other of ['192.0.2.1', '2001:db8::1', 'login.example', '']) t.equal(plainAddress(other), other)
  },
)
