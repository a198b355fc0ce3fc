/**
 * What a serving process finds when it checks itself: its files and disk, the database, the key ring and the settings of the
 * nodes. `doctor` on the host does the same checks, and those that only a command can do. Must not know who asks.
 */
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { KeyturnError } from '../errors.ts'
import { singleFlight } from '../single-flight.ts'
import { isServing, nodeName, type ServingNode } from '../store/contracts/nodes.ts'
import { databaseFile, isPostgres } from '../store/database-url.ts'
import { StoreUnavailable } from '../store/db.ts'
import { type EpochSeconds, type Seconds, systemClock } from '../system.ts'
import { checkClock, checkStoreClock } from './checks/clock.ts'
import { checkDurability } from './checks/database.ts'
import { createReport } from './checks/finding.ts'
import { checkFiles, checkSigning } from './checks/index.ts'
import { checkRing } from './checks/ring.ts'
import { count } from './count.ts'
import type { LocalDeps } from './deps.ts'
import type { CheckName, FindingsView } from './findings.schema.ts'
import { disagreements } from './nodes.ts'
import type { Found } from './verbs.ts'

export interface FindingsAdmin {
  /** What the process that answers has found, at most ten seconds ago. */
  list(): Promise<Found<FindingsView>>
}

/** An administrator can ask as often as the server answers; the process checks itself only this often. */
const KEPT_FOR: Seconds = 10

/** Created once for a process, because all administrators share what it found. */
export function createFindingsAdmin(deps: LocalDeps): FindingsAdmin {
  const { clock } = deps
  let last: { readonly at: EpochSeconds; readonly value: FindingsView } | undefined
  const look = singleFlight(async () => {
    const value = await findings(deps)
    last = { at: value.checked_at, value }
    return value
  })
  return {
    async list() {
      const isRecent = last !== undefined && Math.abs(clock.now() - last.at) < KEPT_FOR
      return { value: isRecent && last ? last.value : await look(), revision: null }
    },
  }
}

async function findings(deps: LocalDeps): Promise<FindingsView> {
  const { store, config, clock, record } = deps
  const { db } = store
  const now = clock.now()
  const report = createReport(problemsIn)
  const { check } = report
  await check('clock', () => checkClock(now))
  const masterKeys = await checkFiles(report, config, {
    recordFile: record.file,
    why: 'this server uses it',
  })
  const { time } = db
  if (time) {
    const aheadBy = systemClock.now() - Math.floor((await time()) / 1000)
    await check('store clock', () => checkStoreClock(aheadBy))
  }
  // A database in memory is not meant to last.
  if (isPostgres(config.databaseUrl) || databaseFile(config.databaseUrl) !== null)
    await check('durability', () => checkDurability(db, config))
  const ring = await check('ring', () => checkRing(store, now))
  const serving = (await store.nodes.list()).filter((node) => isServing(node, now))
  const nodes = serving.map(nodeName)
  await check('nodes', () => [
    nodes.length === 0 ? 'no node serves' : `${count(nodes.length, 'node')}: ${nodes.join(', ')}`,
  ])
  await check('node settings', () => checkAgreement(serving))
  if (ring) {
    const { policy } = await deps.keys()
    await checkSigning(report, { store, ring, config, masterKeys, clock, policy, nodes })
  }
  const shortened = withoutFolders(deps)
  const items = report.findings.map(({ check: name, ok, message }) => ({
    check: name as CheckName,
    ok,
    message: shortened(message),
  }))
  return {
    items,
    next_cursor: null,
    hostname: hostname(),
    checked_at: now,
  }
}

function checkAgreement(serving: readonly ServingNode[]): readonly [string] {
  const different = disagreements(serving)
  if (different.length > 0) throw new Error(`${different.join('; ')}: give all nodes the same settings`)
  return ['all nodes have the same settings']
}

/** Without `detail`, which may name hosts and accounts that only an operator on the host should see. */
function problemsIn(error: unknown): string[] {
  // The request fails as every request does while the store is unavailable.
  if (error instanceof StoreUnavailable) throw error
  if (!(error instanceof KeyturnError)) return [error instanceof Error ? error.message : String(error)]
  return [[error.message, error.hint].filter((text) => text !== undefined).join(': ')]
}

/** Files are named without their folders: where they are is of use only on the host, and `doctor` says it there. */
function withoutFolders({ config, record }: LocalDeps): (message: string) => string {
  const database = databaseFile(config.databaseUrl)
  const folders = [
    [config.keysDir, 'the keys folder'],
    ...(database === null ? [] : [[dirname(database), 'the data folder']]),
    ...(record.file === null ? [] : [[dirname(record.file), 'the folder of the store record']]),
  ] as const
  return (message) =>
    folders.reduce(
      (text, [folder, name]) => text.replaceAll(join(folder, '/'), '').replaceAll(folder, name),
      message,
    )
}
