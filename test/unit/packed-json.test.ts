import { deflateRawSync } from 'node:zlib'
import t from 'tap'
import { packJson, unpackJson } from '../../src/oauth/packed-json.ts'

const jsonOf = (values: number): string =>
  JSON.stringify({
    state: 'é 🔑 "\\\n\ud800',
    values: Array.from({ length: values }, (_, i) => [i, 'value']),
  })

/** Bytes of buffers for each call that nothing refers to any more. A collection in the meantime makes it less. */
function leftBehind(times: number, work: () => void): number {
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < times; i += 1) work()
  return (process.memoryUsage().arrayBuffers - before) / times
}

t.test('packed JSON is restored unchanged, whatever its length', async (t) => {
  for (let values = 0; values < 200; values += 1) {
    const json = jsonOf(values)
    if (unpackJson(packJson(json), Buffer.byteLength(json)) !== json) t.fail(`${json.length} characters`)
  }
  t.ok(jsonOf(0).length < 1024 && jsonOf(199).length > 1024)
})

t.test('packed JSON is never restored to more than allowed, nor anything else', async (t) => {
  const json = jsonOf(500)
  t.throws(() => unpackJson(packJson(json), Buffer.byteLength(json) - 1))
  t.throws(() => unpackJson('not packed', 100))
})

t.test('long JSON is compressed', async (t) => {
  t.ok(packJson(jsonOf(500)).length < jsonOf(500).length / 2)
})

t.test('what an earlier version has packed, with the defaults of zlib, is restored', async (t) => {
  for (const json of [jsonOf(1), jsonOf(4000)])
    t.equal(unpackJson(deflateRawSync(json).toString('base64'), 100_000), json)
})

t.test('packing leaves little behind that waits for a full garbage collection', async (t) => {
  const [short, long] = [jsonOf(20), jsonOf(100)]
  const ofShort = leftBehind(1000, () => unpackJson(packJson(short), 8192))
  t.ok(ofShort < 100, `${ofShort} bytes of a short text`)
  // Two buffers for output.
  const ofLong = leftBehind(1000, () => unpackJson(packJson(long), 8192))
  t.ok(ofLong < 8192, `${ofLong} bytes of a long text`)
})
