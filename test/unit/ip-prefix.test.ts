import t from 'tap'
import { ipPrefix } from '../../src/accounts/ip-prefix.ts'
import { plainAddress } from '../../src/ip-address.ts'

t.test('an IPv4 address counts as itself in every notation', async (t) => {
  for (const ip of ['192.0.2.1', '::ffff:192.0.2.1', '::FFFF:c000:201', '0:0:0:0:0:ffff:c000:0201']) {
    t.equal(ipPrefix(ip), '192.0.2.1', ip)
  }
  t.not(ipPrefix('192.0.2.2'), ipPrefix('192.0.2.1'))
})

t.test('an IPv6 address counts by its /64 prefix in every notation (RFC 6177 §2, RFC 5952)', async (t) => {
  for (const ip of [
    '2001:db8:1:2::1',
    '2001:DB8:1:2:0:0:0:1',
    '2001:0db8:0001:0002::',
    '2001:db8:1:2:ffff:ffff:ffff:ffff',
    '2001:db8:1:2::192.0.2.1',
  ]) {
    t.equal(ipPrefix(ip), '2001:db8:1:2::/64', ip)
  }
  for (const other of ['2001:db8:1:3::1', '2001:db8::1', '2001:db8:1::2', '::1', '::', 'fe80::1%eth0']) {
    t.not(ipPrefix(other), '2001:db8:1:2::/64', other)
  }
  t.equal(ipPrefix('fe80::1%eth0'), ipPrefix('fe80::2'))
})

t.test('text that is not an address is left unchanged', async (t) => {
  for (const text of ['', 'unknown', '1.2.3', '2001:db8::1::2', 'localhost']) t.equal(ipPrefix(text), text)
})

t.test('an IPv4 address that is written as IPv6 is written as IPv4 (RFC 4291 §2.5.5.2)', async (t) => {
  for (const ip of ['192.0.2.1', '::ffff:192.0.2.1', '::FFFF:c000:201', '0:0:0:0:0:ffff:c000:0201'])
    t.equal(plainAddress(ip), '192.0.2.1', ip)
  for (const other of ['2001:db8::ffff:1', '::1', '::ffff:0:192.0.2.1', '::ffff:x', '', 'unknown'])
    t.equal(plainAddress(other), other)
})
