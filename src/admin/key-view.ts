/** The keys of a ring as administrators see them. */
import { leavesAt } from '../keys/ring.ts'
import type { Ring } from '../store/contracts/ring.ts'
import type { KeyView } from './keys.schema.ts'

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
