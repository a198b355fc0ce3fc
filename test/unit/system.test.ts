import t from 'tap'
import { systemRandom } from '../../src/system.ts'

t.test(
  'identifiers have 160 bits in base64url and are unique, even when the random buffer is refilled',
  async (t) => {
    const ids = Array.from({ length: 10_000 }, () => systemRandom.id())
    t.equal(new Set(ids).size, ids.length)
    t.ok(ids.every((id) => /^[\w-]{27}$/.test(id)))
    // Returned bytes are erased: an identifier read from erased ones would begin like this.
    t.notOk(ids.some((id) => id.startsWith('AAAAAAAA')))
  },
)
