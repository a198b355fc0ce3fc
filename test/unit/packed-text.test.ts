import { deflateRawSync } from 'node:zlib'
import t from 'tap'
import { packText, unpackText } from '../../src/oauth/packed-text.ts'

t.test('a packed text is restored unchanged, and never longer than allowed', async (t) => {
  const long = `é ${'"state":"\\u0000",'.repeat(1000)}`
  for (const text of ['', 'x', long]) t.equal(unpackText(packText(text), Buffer.byteLength(text) || 1), text)
  t.throws(() => unpackText(packText(long), Buffer.byteLength(long) - 1))
  t.throws(() => unpackText('not packed', 100))
})

t.test('a text that an earlier version has packed with the defaults of zlib is restored', async (t) => {
  const numbers = Array.from({ length: 4000 }, (_, i) => i)
  const text = [...numbers, ...numbers.slice(0, 10)].join()
  t.equal(unpackText(deflateRawSync(text).toString('base64'), 40_000), text)
})

t.test('packing leaves little behind that waits for a full garbage collection', async (t) => {
  const text = JSON.stringify({ request: Array.from({ length: 10 }, (_, i) => [`parameter_${i}`, 'value']) })
  const times = 1000
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < times; i += 1) unpackText(packText(text), 8192)
  const each = (process.memoryUsage().arrayBuffers - before) / times
  // Two buffers for output. A collection in the meantime makes it less.
  t.ok(each < 4096, `${each} bytes`)
})
