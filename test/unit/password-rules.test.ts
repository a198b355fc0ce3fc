import t from 'tap'
import { preparePassword } from '../../src/accounts/password.ts'
import { createPasswordRules } from '../../src/accounts/password-rules.ts'

const rules = createPasswordRules({ minPasswordLength: 8, brandName: 'Keyturn' })
const noName = { name: null, givenName: null, familyName: null, email: null }
const alice = { ...noName, username: 'alice', name: 'Alice Ångström', email: 'alice@example.com' }
const stranger = { ...noName, username: 'u7' }

t.test(
  'the most common passwords are refused, in any case (NIST SP 800-63B §3.1.1.2; docs/security.md R6)',
  async (t) => {
    for (const password of ['password', 'PassWord', '12345678', 'qwertyuiop', 'iloveyou', 'ｐａｓｓｗｏｒｄ'])
      t.equal(await rules.problemOf(password, stranger), 'common', password)
  },
)

t.test(
  'the name, the username and the name of the server do not count towards the length (docs/security.md R6)',
  async (t) => {
    for (const password of [
      'alicealice',
      'alice-123456',
      'ångströmalice',
      'ALICE@EXAMPLE.COM',
      'keyturn-2026',
      'Ångström2026!',
    ])
      t.equal(await rules.problemOf(password, alice), 'personal', password)
    for (const password of ['alice in wonderland', 'correct horse battery staple', 'h7kq2mzx'])
      t.equal(await rules.problemOf(password, alice), null, password)
    t.equal(await rules.problemOf('alice-123456', stranger), null, 'of another user')
    const nameless = { ...noName, username: 'a.b.c.d.e' }
    t.equal(await rules.problemOf('a.b.c.d.e-1234', nameless), 'personal', 'a username of single letters')
    const max = { ...noName, username: 'm1', name: 'Max Maximilian J' }
    t.equal(await rules.problemOf('maximilian-12', max), 'personal', 'a name that starts with another')
    t.equal(await rules.problemOf('max'.repeat(20), max), 'personal', 'a name that is repeated')
    const bo = { ...noName, username: 'b1', givenName: 'Beatrix', familyName: 'Lindqvist' }
    for (const password of ['beatrix-12345', '12345-lindqvist', 'BeatrixLindqvist'])
      t.equal(await rules.problemOf(password, bo), 'personal', password)
    t.equal(await rules.problemOf('jarjar-j', max), null, 'an initial may be in any password')
  },
)

t.test('the minimum length is a setting, and there are no rules about kinds of characters', async (t) => {
  const strict = createPasswordRules({ minPasswordLength: 15, brandName: 'Keyturn' })
  t.equal(await strict.problemOf('fourteen chars', stranger), 'short')
  t.equal(await strict.problemOf('fifteen letters', stranger), null)
  t.equal(await strict.problemOf('alice-1234567890', alice), 'personal')
  t.equal(await strict.problemOf('x'.repeat(1025), stranger), 'long')
})

t.test('a password has one form, however it is typed (RFC 8265 §4.2.2)', async (t) => {
  t.equal(
    preparePassword('correct\u00a0horse\u3000battery'),
    'correct horse battery',
    'every space is a space',
  )
  t.equal(preparePassword('cafe\u0301'), 'caf\u00e9', 'composed')
  for (const kept of [' at the ends ', 'two  spaces', 'ＷＩＤＥ', 'CaSe', '👩\u200d🚀', 'علی\u200cرضا', ''])
    t.equal(preparePassword(kept), kept, kept)
  for (const refused of ['a\0b', 'a\tb', 'a\u200bb', 'a\u202eb', 'a\ud800b', '\ufeffa'])
    t.equal(preparePassword(refused), null, JSON.stringify(refused))
})

t.test('the length of a password is that of its prepared form, in code points', async (t) => {
  const problemOf = (password: string) => rules.problemOf(password, stranger)
  t.equal(await problemOf('🐴🔋📎🔩🦊🌲🎈'), 'short', 'seven characters are fourteen units of UTF-16')
  t.equal(await problemOf('🐴🔋📎🔩🦊🌲🎈🎲'), null)
  t.equal(await problemOf('e\u0301e\u0301e\u0301e\u0301e\u0301'), 'short', 'marks that compose do not count')
  t.equal(await problemOf('🐴'.repeat(1024)), null)
  t.equal(await problemOf('🐴'.repeat(1025)), 'long')
  t.equal(await problemOf('e\u0301'.repeat(1024)), null)
  t.equal(await problemOf('correct horse\u0007battery'), 'invisible')
})
