import t from 'tap'
import { createPasswordRules } from '../../src/accounts/password-rules.ts'

const rules = createPasswordRules({ minPasswordLength: 8, brandName: 'Keyturn' })
const alice = { username: 'alice', name: 'Alice Ångström', email: 'alice@example.com' }
const stranger = { username: 'u7', name: null, email: null }

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
    const nameless = { username: 'a.b.c.d.e', name: null, email: null }
    t.equal(await rules.problemOf('a.b.c.d.e-1234', nameless), 'personal', 'a username of single letters')
    const max = { username: 'm1', name: 'Max Maximilian J', email: null }
    t.equal(await rules.problemOf('maximilian-12', max), 'personal', 'a name that starts with another')
    t.equal(await rules.problemOf('max'.repeat(20), max), 'personal', 'a name that is repeated')
    const bo = { username: 'b1', name: null, givenName: 'Beatrix', familyName: 'Lindqvist', email: null }
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
