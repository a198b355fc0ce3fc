/** The keys of a ring as administrators see them. */
import { lanesOf, leavesAt } from '../keys/ring.ts'
import type { Ring } from '../store/contracts/ring.ts'
import type { KeyView, LanesView } from './keys.schema.ts'

/** The latest first. */
export const describeKeys = (ring: Ring): KeyView[] =>
  [...ring.keys]
    .sort((a, b) => b.publishedAt - a.publishedAt)
    .map((key) => ({
      kid: key.kid,
      alg: key.alg,
      state: key.state,
      created_at: key.createdAt,
      published_at: key.publishedAt,
      signs_from: key.signsFrom,
      stopped_at: key.stoppedAt,
      leaves_at: leavesAt(key),
    }))

/** The keys of the default lane, and of all lanes. */
export function describeLanes(ring: Ring): LanesView {
  const lanes = lanesOf(ring).map(({ alg, active, next, retiring }) => ({
    alg,
    active: active.kid,
    next: next.kid,
    retiring: retiring.map(({ kid }) => kid),
  }))
  const [first] = lanes
  if (!first) throw new Error('the ring has no lane')
  const { alg, ...keys } = first
  return { default: alg, ...keys, lanes }
}
