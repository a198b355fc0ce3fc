import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { parseParts } from '../../src/oauth/mtls/certificate-parts.ts'
import { parseDistinguishedName } from '../../src/oauth/mtls/distinguished-name.ts'
import { hasSubject } from '../../src/oauth/mtls/registered-subject.ts'
import { type CertificateOptions, selfSigned } from '../support/certificates.ts'

const CN = '2.5.4.3'

t.test('the RDNs of a text are those of a certificate in reverse (RFC 4514 §2.1)', async (t) => {
  t.same(parseDistinguishedName('CN=Steve Kille,O=Isode Limited,C=GB'), [
    [{ type: '2.5.4.6', value: 'GB' }],
    [{ type: '2.5.4.10', value: 'Isode Limited' }],
    [{ type: CN, value: 'Steve Kille' }],
  ])
  t.same(parseDistinguishedName('OU=Sales+CN=J. Smith,DC=example,DC=net')?.at(-1), [
    { type: '2.5.4.11', value: 'Sales' },
    { type: CN, value: 'J. Smith' },
  ])
})

/** Text, and the value of its only attribute. */
const VALUES: readonly (readonly [string, string | { der: string }])[] = [
  ['CN=James \\"Jim\\" Smith\\, III', 'James "Jim" Smith, III'],
  ['CN=Before\\0dAfter', 'Before\rAfter'],
  ['CN=Lu\\C4\\8Di\\C4\\87', 'Lučić'],
  ['CN=Lučić', 'Lučić'],
  ['cn = x ', 'x'],
  ['CN=\\ x\\ ', ' x '],
  ['CN=x\\20 ', 'x '],
  ['CN=a=b', 'a=b'],
  ['CN=\\#1', '#1'],
  ['2.5.4.3=x', 'x'],
  ['CN=#0C0178', { der: '0c0178' }],
  ['CN=', ''],
]

t.test('values are unescaped (RFC 4514 §3)', async (t) => {
  for (const [text, value] of VALUES) t.same(parseDistinguishedName(text), [[{ type: CN, value }]], text)
})

t.test('text that is not wholly understood is no name (docs/security.md X3)', async (t) => {
  const wrong = [
    '',
    'x',
    'CN',
    'CN=x,',
    ',CN=x',
    'CN=x+',
    'CN=x,,O=y',
    'XX=x',
    'toString=x',
    'CN="x"',
    'CN=x;O=y',
    'CN=a<b',
  ]
  const malformed = [
    'CN=x\\',
    'CN=\\zz',
    'CN=\\C4',
    'CN=#',
    'CN=#0',
    'CN=#0g',
    'CN=x\0',
    '1=x',
    '01.2=x',
    'CN=x\nO=y\\',
  ]
  for (const text of [...wrong, ...malformed])
    t.equal(parseDistinguishedName(text), null, JSON.stringify(text))
})

async function partsOf(options: CertificateOptions) {
  return parseParts(new X509Certificate((await selfSigned(options)).cert))
}

t.test(
  'a subject is compared attribute by attribute, whatever its text and its string type (docs/security.md X3)',
  async (t) => {
    const parts = await partsOf({
      subject: [
        { C: [{ printableString: 'DE' }] },
        { O: [{ utf8String: 'Bänk, Ltd' }], OU: [{ utf8String: 'IT' }] },
        { CN: ['robot'] },
      ],
    })
    const is = (value: string) => hasSubject({ kind: 'subject_dn', value }, parts)
    for (const same of [
      'CN=robot,O=Bänk\\, Ltd+OU=IT,C=DE',
      'cn=robot, ou=IT+o=B\\C3\\A4nk\\2C Ltd, c=DE',
      '2.5.4.3=robot,OU=IT+2.5.4.10=Bänk\\, Ltd,C=#13024445',
    ])
      t.ok(is(same), same)
    for (const other of [
      'C=DE,O=Bänk\\, Ltd+OU=IT,CN=robot',
      'CN=robot,O=Bänk\\, Ltd,OU=IT,C=DE',
      'CN=robot,O=Bänk\\, Ltd+OU=IT',
      'CN=robot,CN=robot,O=Bänk\\, Ltd+OU=IT,C=DE',
      'CN=Robot,O=Bänk\\, Ltd+OU=IT,C=DE',
      'OU=robot,O=Bänk\\, Ltd+OU=IT,C=DE',
      'CN=robot,O=Bänk\\, Ltd+OU=IT+OU=IT,C=DE',
      'CN=robot,O=Bänk\\, Ltd+OU=IT,C=#0c024445',
    ])
      t.notOk(is(other), other)
  },
)

t.test('alternative names are compared as their kinds say (RFC 8705 §2.1.2)', async (t) => {
  const parts = await partsOf({
    subject: [{ CN: ['dns.example'] }],
    dns: ['Robot.example', '*.wild.example'],
    uri: ['spiffe://example.org/shop'],
    ip: ['10.0.0.1', '2001:db8::1'],
    email: ['Robot@example.org'],
  })
  const has = (kind: 'san_dns' | 'san_uri' | 'san_ip' | 'san_email', value: string) =>
    hasSubject({ kind, value }, parts)
  t.ok(has('san_dns', 'robot.EXAMPLE'))
  t.notOk(has('san_dns', 'a.wild.example'), 'a wildcard stands for no other name')
  t.notOk(has('san_dns', 'dns.example'), 'a common name is no DNS name')
  t.ok(has('san_uri', 'spiffe://example.org/shop'))
  t.notOk(has('san_uri', 'spiffe://example.org/shop/'))
  t.notOk(has('san_dns', 'spiffe://example.org/shop'), 'of another kind')
  t.ok(has('san_ip', '10.0.0.1'))
  t.ok(has('san_ip', '2001:0db8:0:0::1'))
  t.notOk(has('san_ip', '10.0.0.2'))
  t.ok(has('san_email', 'Robot@EXAMPLE.org'))
  t.notOk(has('san_email', 'robot@example.org'))
})
