/**
 * Which lanes of the key ring may sign for an API or a client. A change that would sign with a key that a verifier
 * may lack is refused, as an unsafe rotation is.
 */
import { commandLine } from '../command-line.ts'
import { assertLaneSafe, LaneUnsafe } from '../keys/change-lanes.ts'
import { ensureRing, LaneNotFound } from '../keys/rotate.ts'
import { SIGNING_ALGS } from '../oauth/client-registration/signing-algs.ts'
import type { Client, LANE_MEMBERS } from '../store/contracts/clients.ts'
import type { LocalDeps } from './deps.ts'
import { AdminError } from './errors.ts'

/** A lane that something is to be signed in, and the member of the request that names it. */
export interface WantedLane {
  readonly alg: string
  readonly field: string
}

/** Must be called for each lane that something was not signed in before. @throws {AdminError} conflict, lane-unsafe */
export async function assertLanesUsable(
  { keys: openKeys }: Pick<LocalDeps, 'keys'>,
  wanted: readonly WantedLane[],
): Promise<void> {
  if (wanted.length === 0) return
  const keys = await openKeys()
  const ring = await ensureRing(keys)
  for (const { alg, field } of wanted) {
    await assertLaneSafe(keys, ring, alg).catch((error) => {
      throw laneRefused(error, alg, field)
    })
  }
}

/** What an administrator is told, and can do; other errors stay as they are. */
export function laneRefused(error: unknown, alg: string, field = 'alg'): unknown {
  if (error instanceof LaneUnsafe) {
    const { message, safeFrom: safe_from, behind } = error
    const fields = { safe_from, behind }
    return new AdminError('lane-unsafe', message, { cause: error, fields, errors: [{ field, message }] })
  }
  if (!(error instanceof LaneNotFound)) return error
  const message = `${error.message}: run ${commandLine(`keys lanes add ${alg}`)}`
  return new AdminError('conflict', message, { cause: error, errors: [{ field, message }] })
}

/** The lanes that a changed client names and did not name before. */
export function newLanes(
  before: Pick<Client, (typeof LANE_MEMBERS)[number]> | null,
  after: Pick<Client, (typeof LANE_MEMBERS)[number]>,
): WantedLane[] {
  return SIGNING_ALGS.flatMap(([member, field]) => {
    const alg = after[member]
    return alg === null || alg === before?.[member] ? [] : [{ alg, field }]
  })
}
