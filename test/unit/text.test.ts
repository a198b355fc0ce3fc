import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { decodeText, InvalidText, readText, whyUnreadable, withoutFinalNewline } from '../../src/text.ts'

t.test('a text has one value, whichever encoding and line endings an editor saves it with', async (t) => {
  const file = join(t.testdir({}), 'text')
  for (const written of ['a\nbé\n', 'a\r\nbé\r\n', '\uFEFFa\nbé\n', '\uFEFFa\r\nbé\r\n']) {
    writeFileSync(file, written)
    t.equal(readText(file), 'a\nbé\n', JSON.stringify(written))
  }
  t.equal(decodeText(Buffer.from('a\rb')), 'a\rb', 'a carriage return alone is no line ending')
})

t.test('one line feed at the end is not part of a value, and every other character is', async (t) => {
  for (const [text, value] of [
    ['a', 'a'],
    ['a\n', 'a'],
    ['a\n\n', 'a\n'],
    [' a \n', ' a '],
    ['\n', ''],
  ] as const) {
    t.equal(withoutFinalNewline(text), value, JSON.stringify(text))
  }
})

t.test('bytes that are not UTF-8 are refused and not replaced (RFC 3629 §3)', async (t) => {
  for (const [bytes, why] of [
    [Buffer.from('\uFEFFtext', 'utf16le'), 'is UTF-16 text: save it as UTF-8'],
    [Buffer.from('\uFEFFtext', 'utf16le').swap16(), 'is UTF-16 text: save it as UTF-8'],
    [Buffer.from('text', 'utf16le'), 'contains NUL characters: save it as UTF-8'],
    [Buffer.from('é', 'latin1'), 'is not UTF-8 text'],
    [Buffer.from([0xc0, 0x80]), 'is not UTF-8 text'],
  ] as const) {
    t.throws(() => decodeText(bytes), InvalidText, why)
    try {
      decodeText(bytes)
    } catch (error) {
      t.equal(whyUnreadable(error), why)
    }
  }
})
