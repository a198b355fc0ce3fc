/** Checks of the key ring: that it is complete, and that what is due was done. */
import { commandLine } from '../../command-line.ts'
import { automaticRotationAt, lanesOf, leavesAt, type RingPolicy, SKEW } from '../../keys/ring.ts'
import type { Ring } from '../../store/contracts/ring.ts'
import type { Store } from '../../store/index.ts'
import { findRemains, listed } from '../../store/remains.ts'
import type { EpochSeconds, Seconds } from '../../system.ts'
import { span, time } from '../time-text.ts'

export async function checkRing(store: Store, now: EpochSeconds): Promise<readonly [string, Ring | null]> {
  const remains = await findRemains(store)
  if (remains.length > 0)
    throw new Error(`there is none, but there are rows in ${listed(remains)}: restore a backup`)
  const ring = await store.ring.read()
  if (!ring) return [`none yet: ${commandLine('serve')} creates it`, null]
  // Not `signsFrom`, which is in the future for the first key of a new lane.
  const future = ring.keys.find((key) =>
    [key.createdAt, key.publishedAt, key.stoppedAt, key.leftAt].some((at) => at !== null && at > now + SKEW),
  )
  if (future) {
    throw new Error(`key ${future.kid} has a time in the future: the clock was set back, or is wrong now`)
  }
  const lanes = lanesOf(ring).map(({ alg }) => alg)
  const keys = `${lanes.length === 1 ? '' : 'each with '}one active and one next key`
  return [`version ${ring.version}, ${lanes.join(' and ')}, ${keys}`, ring]
}

/** A running server performs what is due within one second. */
const OVERDUE_AFTER: Seconds = 60

/** @param nodes the names of the serving nodes */
export function checkSchedule(
  ring: Ring,
  now: EpochSeconds,
  policy: RingPolicy,
  nodes: readonly string[],
): readonly [string] {
  const remedy =
    nodes.length === 0 ? `start ${commandLine('serve')}` : `the log of ${nodes.join(', ')} says why`
  for (const key of ring.keys) {
    const leaves = key.state === 'retiring' ? leavesAt(key) : null
    if (leaves !== null && now > leaves + OVERDUE_AFTER) {
      throw new Error(`key ${key.kid} should have left the JWKS at ${time(leaves)}: ${remedy}`)
    }
  }
  const rotation = automaticRotationAt(ring, policy)
  if (rotation === null) return ['automatic rotation is off']
  if (now > rotation + OVERDUE_AFTER) {
    throw new Error(`a rotation has been due since ${time(rotation)}: ${remedy}`)
  }
  return [`the next rotation is due in ${span(rotation - now)}`]
}
