import argon2 from 'argon2'
import t from 'tap'
import { formatHash, parseHash } from '../../src/accounts/argon2-string.ts'

const SALT = Buffer.alloc(16, 0xfb)
const COST = { type: argon2.argon2id, memoryCost: 256, timeCost: 3, parallelism: 2, salt: SALT } as const

t.test('a hash of the library is read and written without a change', async (t) => {
  for (const hashLength of [16, 31, 32]) {
    const text = await argon2.hash('password', { ...COST, hashLength })
    const parsed = parseHash(text)
    t.match(parsed, { memory: 256, passes: 3, lanes: 2, length: hashLength, salt: SALT })
    t.equal(parsed && formatHash(parsed), text)
  }
})

t.test('the parameters may be in any order', async (t) => {
  const parsed = parseHash('$argon2id$v=19$m=256,t=3,p=2$c2FsdHNhbHQ$aGFzaGhhc2g')
  t.match(parsed, { memory: 256, passes: 3, lanes: 2, length: 8 })
})

t.test('a hash of another kind is not read', async (t) => {
  const others = [
    await argon2.hash('password', { ...COST, type: argon2.argon2i }),
    await argon2.hash('password', { ...COST, version: 0x10 }),
    await argon2.hash('password', { ...COST, associatedData: Buffer.from('data') }),
    '$argon2id$v=19$m=256,t=3$c2FsdHNhbHQ$aGFzaGhhc2g',
    '$argon2id$v=19$m=0,t=3,p=2$c2FsdHNhbHQ$aGFzaGhhc2g',
    '$argon2id$v=19$m=256,t=3,p=2,m=8$c2FsdHNhbHQ$aGFzaGhhc2g',
    '$argon2id$v=19$m=256,t=3,p=2,8$c2FsdHNhbHQ$aGFzaGhhc2g',
    '$argon2id$v=19$m=256,t=3,m=8$c2FsdHNhbHQ$aGFzaGhhc2g',
    '$argon2id$v=19$m=256,t=3,p=2$c2FsdHNhbHQ',
    '',
  ]
  for (const text of others) t.equal(parseHash(text), null, text)
})
