/** Which certificates an authority has issued (RFC 5280 §6). */
import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { isIssuedBy } from '../../src/oauth/mtls/chain.ts'
import { presentedCertificate } from '../../src/oauth/mtls/presented-certificate.ts'
import { Extension, selfSigned, type TestCertificate, testAuthority } from '../support/certificates.ts'
import { pssAuthority, sha1WithSha256Mask, sha256WithSha256Mask } from '../support/pss-certificates.ts'

const NOW = Math.floor(Date.now() / 1000)
const past = { notBefore: new Date('2026-01-01'), notAfter: new Date('2026-01-02') }
const future = { notBefore: new Date('2100-01-01'), notAfter: new Date('2100-01-02') }

type Der = Pick<TestCertificate, 'der'>

function check(authorities: readonly Der[], leaf: Der, others: readonly Der[] = [], now = NOW): boolean {
  const presented = presentedCertificate(
    leaf.der,
    others.map(({ der }) => der),
    false,
  )
  if (!presented) throw new Error('the certificate of the test cannot be read')
  return isIssuedBy(
    authorities.map(({ der }) => new X509Certificate(der)),
    presented,
    now,
  )
}

t.test('a certificate of the authority itself, or of its intermediates in any order', async (t) => {
  const root = await testAuthority()
  const one = await root.intermediate()
  const two = await one.intermediate()
  t.ok(check([root], await root.issue()))
  t.ok(check([await testAuthority(), root], await one.issue(), [one]))
  const leaf = await two.issue()
  t.ok(check([root], leaf, [two, one]))
  t.ok(check([root], leaf, [one, two, root]))
  t.ok(check([one], leaf, [two]), 'an intermediate may be the trusted one')
  t.notOk(check([root], leaf, [two]), 'a missing intermediate')
  t.notOk(check([root], leaf))
  t.notOk(check([], leaf, [two, one, root]), 'what the client sends is not trusted')
})

t.test('every algorithm of clients and authorities', async (t) => {
  for (const algorithm of ['P-256', 'P-384', 'Ed25519', 'RSA'] as const) {
    const root = await testAuthority({ algorithm })
    t.ok(check([root], await root.issue({ algorithm })), algorithm)
  }
})

t.test('another authority of the same name has not issued it (docs/security.md X2)', async (t) => {
  const subject = [{ CN: ['Same name'] }]
  const [root, impostor] = [await testAuthority({ subject }), await testAuthority({ subject })]
  t.notOk(check([root], await impostor.issue()))
  t.notOk(check([root], await impostor.issue(), [impostor]))
  t.notOk(check([root], await selfSigned({ subject })), 'nor has the certificate itself')
})

t.test('a certificate that is no authority issues nothing', async (t) => {
  const root = await testAuthority()
  const subject = [{ CN: ['leaf'] }]
  const leaf = await root.issue({ subject })
  const pretending = await testAuthority({ subject, keys: leaf.keys })
  t.notOk(check([root], await pretending.issue(), [leaf]))
})

t.test('each certificate of the chain must be valid now (docs/security.md X2)', async (t) => {
  const root = await testAuthority()
  t.notOk(check([root], await root.issue(past)))
  t.notOk(check([root], await root.issue(future)))
  const old = await root.intermediate(past)
  t.notOk(check([root], await old.issue(), [old]))
  const leaf = await root.issue()
  t.notOk(check([root], leaf, [], NOW + 7200), 'the clock decides')
  const expired = await testAuthority(past)
  t.notOk(check([expired], await expired.issue()), 'the authority too')
})

t.test('how many intermediates an authority allows (RFC 5280 §4.2.1.9)', async (t) => {
  const root = await testAuthority()
  const last = await root.intermediate({ pathLength: 0 })
  t.ok(check([root], await last.issue(), [last]))
  const further = await last.intermediate()
  t.notOk(check([root], await further.issue(), [further, last]))
})

t.test('the certificate must be for clients, if it says what it is for (RFC 5280 §4.2.1.12)', async (t) => {
  const root = await testAuthority()
  t.ok(check([root], await root.issue({ usages: ['client'] })))
  t.ok(check([root], await root.issue({ usages: [] })))
  t.notOk(check([root], await root.issue({ usages: ['server'] })))
})

t.test(
  'a critical extension that is not understood, such as name constraints, is refused (docs/security.md X2)',
  async (t) => {
    const root = await testAuthority()
    const nameConstraints = (critical: boolean) =>
      new Extension('2.5.29.30', critical, Buffer.from('3000', 'hex'))
    t.notOk(check([root], await root.issue({ extensions: [nameConstraints(true)] })))
    const limited = await root.intermediate({ extensions: [nameConstraints(false)] })
    t.notOk(check([root], await limited.issue(), [limited]), 'an authority may have marked them wrongly')
    const anchor = await testAuthority({ extensions: [nameConstraints(false)] })
    t.notOk(check([anchor], await anchor.issue()))
    t.ok(
      check(
        [root],
        await root.issue({ extensions: [new Extension('1.2.3.4', false, Buffer.from('0500', 'hex'))] }),
      ),
    )
  },
)

t.test('signatures with SHA-1 are refused', async (t) => {
  const root = await testAuthority()
  t.notOk(check([root], await root.issue({ hash: 'SHA-1' })))
})

t.test('the hash of RSASSA-PSS counts, and not that of its mask (RFC 4055 §3.1)', (t) => {
  const now = Date.parse('2027-01-01') / 1000
  t.ok(check([pssAuthority], sha256WithSha256Mask, [], now))
  t.notOk(check([pssAuthority], sha1WithSha256Mask, [], now))
  t.end()
})

t.test(
  'only one certificate in DER is read, of limited length, with a limited number of others',
  async (t) => {
    const { der } = await selfSigned()
    t.ok(presentedCertificate(der, [], false))
    t.equal(presentedCertificate(Buffer.from((await selfSigned()).cert), [], false), null, 'PEM')
    t.equal(presentedCertificate(Buffer.concat([der, der]), [], false), null, 'two')
    t.equal(presentedCertificate(der.subarray(0, -1), [], false), null, 'cut')
    t.equal(presentedCertificate(Buffer.alloc(9000, 0x30), [], false), null, 'long')
    t.ok(presentedCertificate(der, Array(5).fill(der), false))
    t.equal(presentedCertificate(der, Array(6).fill(der), false), null, 'too many')
    t.equal(presentedCertificate(der, [Buffer.from('x')], false), null)
  },
)
