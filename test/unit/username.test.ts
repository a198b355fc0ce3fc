import fc from 'fast-check'
import t from 'tap'
import { normalizeUsername } from '../../src/accounts/username.ts'
import { anyText } from '../support/server/any-text.ts'

t.test(
  'normalizing a username twice changes nothing, so failures are counted under one spelling',
  async (t) => {
    const property = fc.property(anyText(12), (name) => {
      const normal = normalizeUsername(name)
      return normal === null || normalizeUsername(normal) === normal
    })
    fc.assert(property, { numRuns: 5000 })
    // Letters whose capital has two code points, and similar ones.
    for (const name of [
      'J\u030c',
      'H\u0331',
      'T\u0308',
      'W\u030a',
      'Y\u030a',
      'İ',
      'ẞ',
      'ﬀ',
      'K',
      'Å',
      'ΣΑΣ',
    ]) {
      const normal = normalizeUsername(name) ?? ''
      t.equal(normalizeUsername(normal), normal, JSON.stringify(name))
    }
    t.equal(normalizeUsername('J\u030can'), normalizeUsername('\u01f0an'), 'composed and decomposed')
  },
)

t.test('letter case, width and surrounding spaces do not distinguish usernames', async (t) => {
  for (const name of ['alice', 'ALICE', ' Alice ', 'ａｌｉｃｅ', '\talice\n', '\ufeffalice', '\u00a0alice']) {
    t.equal(normalizeUsername(name), 'alice', JSON.stringify(name))
  }
  t.equal(normalizeUsername('Ann Lee'), 'ann lee', 'a space inside is part of the name')
  t.equal(normalizeUsername('ann\u3000lee'), 'ann lee', 'whichever space it is')
})

t.test('invisible characters and line breaks are not allowed in a username', async (t) => {
  for (const name of [
    '',
    ' ',
    'a  b',
    'a\nb',
    'a\0b',
    'a\u200bb',
    'a\u200db',
    'a\u00adb',
    'a\ufe0f',
    'a\u034f',
    'a\u3164b',
    'a\u202eb',
    'a\ud800b',
    'a\u{e0001}b',
  ]) {
    t.equal(normalizeUsername(name), null, JSON.stringify(name))
  }
  t.equal(normalizeUsername('x'.repeat(200)), 'x'.repeat(200))
  t.equal(normalizeUsername('x'.repeat(201)), null)
  t.equal(normalizeUsername('ﷺ'.repeat(60)), null, 'the length is counted after normalization')
})

t.test('a long name is refused before it is normalized, which would take long', async (t) => {
  const { normalize } = String.prototype
  t.teardown(() => {
    String.prototype.normalize = normalize
  })
  String.prototype.normalize = () => t.fail('a long name was normalized') as never
  t.equal(normalizeUsername(`a${'\u0316\u0301'.repeat(400)}`), null)
})
