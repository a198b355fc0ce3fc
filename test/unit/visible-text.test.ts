import t from 'tap'
import { isVisible, prepareName } from '../../src/visible-text.ts'

const prepare = (name: string) => prepareName(name, 60)

t.test('every kind of space is one space between words, and none at the ends', async (t) => {
  for (const name of ['Ann Lee', ' Ann  Lee ', 'Ann\u3000Lee', '\u00a0Ann\u00a0\u2009 Lee\u3000'])
    t.equal(prepare(name), 'Ann Lee', JSON.stringify(name))
  t.equal(prepare('Zoe\u0308'), 'Zo\u00eb', 'composed')
  for (const name of ['', ' ', '\u3000', '\u0301', '\ufe0f'])
    t.equal(prepare(name), null, JSON.stringify(name))
})

t.test('joiners are accepted where scripts and emoji need them (RFC 5892 A.1, A.2)', async (t) => {
  for (const name of [
    'علی\u200cرضا', // Persian: without the non-joiner, the letters would join
    'क्\u200dष', // Hindi: a half form
    'क्\u200cष', // Hindi: a visible virama
    'ශ්\u200dරී', // Sinhala: a conjunct
    '👩\u200d🚀',
    '👩🏽\u200d🚀',
    '❤\ufe0f\u200d🔥',
    '👨\u200d👩\u200d👧',
    '🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}', // the flag of England
    '葛\u{E0100}城', // a variant of an ideograph
  ]) {
    t.equal(prepare(name), name, JSON.stringify(name))
  }
})

t.test('characters that no one sees are refused everywhere else', async (t) => {
  for (const hidden of [
    ...['\u200b', '\u200c', '\u200d', '\u200e', '\u200f', '\u2060', '\ufeff', '\u00ad', '\u034f', '\u3164'],
    ...['\u202a', '\u202b', '\u202c', '\u202d', '\u202e', '\u2066', '\u2067', '\u2068', '\u2069', '\u061c'],
    ...['\0', '\t', '\n', '\r', '\u001b', '\u007f', '\u0085', '\u2028', '\u2029'],
    ...['\ud800', '\udfff', '\ue000', '\u{E0067}', '\u{E007F}', '\u0378'],
  ]) {
    const number = `U+${hidden.codePointAt(0)?.toString(16)}`
    t.equal(prepare(`a${hidden}b`), null, number)
    t.notOk(isVisible(`a${hidden}b`), number)
  }
  for (const name of ['ب\u200d', '\u200cب', 'a\u200d🚀', '🚀\u200da', '🏴\u{E0067}'])
    t.equal(prepare(name), null)
})

t.test(
  'the length is bounded before the text is normalized, and counted in code points after it',
  async (t) => {
    t.equal(prepare('🛒'.repeat(60))?.length, 120)
    t.equal(prepare('🛒'.repeat(61)), null)
    t.equal(prepare('e\u0301'.repeat(60)), 'é'.repeat(60))
    const { normalize } = String.prototype
    t.teardown(() => {
      String.prototype.normalize = normalize
    })
    String.prototype.normalize = () => t.fail('a long text was normalized') as never
    t.equal(prepare(`a${'\u0316\u0301'.repeat(120)}`), null)
  },
)
