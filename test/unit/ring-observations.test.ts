/** That an outside observer (test/cluster/rotation.test.ts) would notice nodes that break the rules. */
import t from 'tap'
import {
  type JwksSeen,
  type Observations,
  type RingSeen,
  type TokenSeen,
  violations,
} from '../support/processes/ring-observations.ts'

t.test('every violation of the key rotation rules is reported', async (t) => {
  const set = (node: number, at: number, ...kids: string[]): JwksSeen => ({
    node,
    requestedAt: at,
    receivedAt: at + 1,
    kids: new Set(kids),
  })
  const token = (node: number, at: number, kid: string): TokenSeen => ({
    node,
    requestedAt: at,
    receivedAt: at + 1,
    kid,
  })
  const ring = (at: number, active: string[], next: string[]): RingSeen => ({
    requestedAt: at,
    receivedAt: at + 1,
    active,
    next,
  })
  const good: Observations = {
    nodes: 2,
    order: ['a', 'b'],
    tokens: [token(0, 20, 'a'), token(1, 21, 'a'), token(0, 50, 'b'), token(1, 55, 'a'), token(1, 60, 'b')],
    sets: [set(0, 10, 'a', 'b'), set(1, 10, 'a', 'b'), set(0, 70, 'a', 'b', 'c'), set(1, 75, 'a', 'b', 'c')],
    rings: [ring(10, ['a'], ['b']), ring(50, ['b'], ['c'])],
    lagMs: 10,
  }
  t.same(violations(good), [])
  const found = (changed: Partial<Observations>) => violations({ ...good, ...changed }).join('; ')
  const tokens = (...more: TokenSeen[]) => found({ tokens: [...good.tokens, ...more] })
  const rings = (...more: RingSeen[]) => found({ rings: [...good.rings, ...more] })
  t.match(tokens(token(0, 80, 'c')), 'c, which no rotation made active')
  t.match(found({ sets: good.sets.slice(1) }), 'b signed at node 0 before node 0 was seen to have it')
  t.match(
    found({ sets: [...good.sets, set(1, 30, 'a')] }),
    'node 1 served a JWKS without b after one with it',
  )
  t.match(tokens(token(1, 5, 'b')), 'node 1 signed with b, which was next')
  t.match(tokens(token(0, 61, 'a')), 'node 0 went back to a')
  t.match(found({ lagMs: 3 }), 'node 1 signed with a 4 ms after a newer key was used')
  t.match(rings(ring(60, ['a', 'b'], ['c'])), '2 active and 1 next')
  t.match(rings(ring(60, ['b'], [])), '1 active and 0 next')
  t.match(rings(ring(60, ['a'], ['c'])), 'a was active after a later key')
})
