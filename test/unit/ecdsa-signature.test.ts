import { generateKeyPairSync, sign, verify } from 'node:crypto'
import t from 'tap'
import { joseSignature } from '../../src/keys/ecdsa-signature.ts'

const CURVES = [
  ['P-256', 'sha256', 32],
  ['P-384', 'sha384', 48],
  ['P-521', 'sha512', 66],
] as const

const integer = (...bytes: number[]) => [2, bytes.length, ...bytes]
const sequence = (...bytes: number[]) =>
  Buffer.from(bytes.length > 127 ? [0x30, 0x81, bytes.length, ...bytes] : [0x30, bytes.length, ...bytes])

t.test('each half is as long as the order of the curve (RFC 7518 §3.4)', async (t) => {
  const short = joseSignature(sequence(...integer(1), ...integer(0, 0x80)), 32)
  t.equal(short.toString('hex'), `${'00'.repeat(31)}01${'00'.repeat(31)}80`)
  const full = Array.from({ length: 66 }, (_, i) => i + 1)
  const long = joseSignature(sequence(...integer(...full), ...integer(0, 0xff, ...full.slice(1))), 66)
  t.same([...long], [...full, 0xff, ...full.slice(1)])
})

for (const [namedCurve, hash, size] of CURVES) {
  t.test(`signatures with ${namedCurve} are those that Node.js itself converts`, async (t) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve })
    const key = { key: publicKey, dsaEncoding: 'ieee-p1363' as const }
    const lengths = new Set<number>()
    // Enough that each half is once shorter than usual: one in 256 is.
    for (let i = 0; i < 1000; i += 1) {
      const input = Buffer.from(`input ${i}`)
      const der = sign(hash, input, privateKey)
      lengths.add(der.length)
      const signature = joseSignature(der, size)
      if (signature.length !== 2 * size || !verify(hash, input, key, signature))
        t.fail(`${der.toString('hex')} → ${signature.toString('hex')}`)
    }
    t.ok(lengths.size > 2, 'of several lengths')
  })
}
