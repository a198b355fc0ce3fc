import t from 'tap'
import { trustedProxies } from '../../src/http/trusted-proxies.ts'

t.test('a number of proxies is trusted from the server outwards, whatever their addresses', async (t) => {
  const hops = (count: number) => [0, 1, 2].map((hop) => trustedProxies(count)('203.0.113.9', hop))
  t.same(hops(0), [false, false, false])
  t.same(hops(1), [true, false, false])
  t.same(hops(2), [true, true, false])
})

t.test('a list of addresses trusts those addresses at every hop', async (t) => {
  const trusts = trustedProxies('10.0.0.0/8, 2001:db8::/32,192.0.2.1, loopback')
  for (const address of ['10.9.9.9', '::ffff:10.9.9.9', '2001:db8::1', '192.0.2.1', '127.0.0.9', '::1']) {
    t.equal(trusts(address, 0), true, address)
    t.equal(trusts(address, 7), true, address)
  }
  for (const address of ['11.0.0.1', '2001:db9::1', '192.0.2.2', '::2', 'unknown', '', '10.0.0.1:80']) {
    t.equal(trusts(address, 0), false, address)
  }
})

t.test('the named networks are private and link-local ones', async (t) => {
  const trusts = trustedProxies('linklocal, uniquelocal')
  for (const address of [
    '169.254.1.1',
    'fe80::1',
    'fe80::1%eth0',
    '10.0.0.1',
    '172.31.0.1',
    '192.168.1.1',
    'fd00::1',
  ])
    t.equal(trusts(address, 0), true, address)
  for (const address of ['172.32.0.1', '127.0.0.1', '8.8.8.8', '2001:db8::1'])
    t.equal(trusts(address, 0), false, address)
})

t.test('an IPv4 network in the notation of IPv6 trusts IPv4 addresses', async (t) => {
  t.equal(trustedProxies('::ffff:10.0.0.0/104')('10.1.2.3', 0), true)
  t.equal(trustedProxies('::ffff:10.0.0.1')('10.0.0.1', 0), true)
})
