/**
 * The doctor's checks in the order of their dependencies. A check is run even if earlier ones failed, unless it needs their
 * results. No check changes or creates anything. A new check is a line in `runChecks`.
 */

import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { commandLine } from '../command-line.ts'
import { type Config, ConfigError, loadConfig } from '../config/load.ts'
import { activeKey, automaticRotationAt, isPublished, leavesAt, nextKey, SKEW } from '../keys/ring.ts'
import { assertRecorded, explainMissing, readableEvidence } from '../node/expected-store.ts'
import { settingsOfNodes } from '../node/node-settings.ts'
import { createStoreRecord, type StoreRecord } from '../node/store-record.ts'
import type { ServingNode } from '../store/contracts/nodes.ts'
import { nodeName } from '../store/contracts/nodes.ts'
import type { Ring } from '../store/contracts/ring.ts'
import { type Db, StoreMissing } from '../store/db.ts'
import { createStore, databaseFile, databaseName } from '../store/index.ts'
import { isEmpty, migrationStatus } from '../store/migrate.ts'
import { findRemains, listed } from '../store/remains.ts'
import { type EpochSeconds, systemClock } from '../system.ts'
import { checkDatabaseFile, checkFolder, checkFreeSpace } from './doctor-disk.ts'
import { checkKeys, checkMasterKey, checkMasterKeyRotation } from './doctor-keys.ts'
import { checkNodeSettings, checkNodes } from './doctor-nodes.ts'
import { checkServer } from './doctor-server.ts'
import { checkDurability, checkIntegrity, openExisting } from './doctor-store.ts'
import { explain } from './explain.ts'
import type { Io } from './io.ts'
import { span, time } from './output.ts'

export interface Finding {
  readonly check: string
  readonly ok: boolean
  /** What was found and, if it is a problem, what to do. */
  readonly message: string
}

/** Earlier than the first release. A clock that shows an earlier time has never been set. */
const EARLIEST_PLAUSIBLE_TIME: EpochSeconds = Date.UTC(2026, 0, 1) / 1000

export async function runChecks(io: Io): Promise<Finding[]> {
  const findings: Finding[] = []
  const clock = io.clock ?? systemClock
  const now = clock.now()

  /** Records the message that `work` returns or throws. Returns its result, for checks that need it. */
  async function check<T>(
    name: string,
    work: () => Promise<readonly [string, T?]> | readonly [string, T?],
  ): Promise<T | undefined> {
    try {
      const [message, result] = await work()
      findings.push({ check: name, ok: true, message })
      return result
    } catch (error) {
      const problems = error instanceof ConfigError ? error.problems : [explain(error)]
      for (const message of problems) findings.push({ check: name, ok: false, message })
      return undefined
    }
  }

  const config = await check('configuration', () => readConfig(io))
  await check('clock', () => checkClock(now))
  if (!config) return findings

  const file = databaseFile(config.databaseUrl)
  const record = createStoreRecord(config)
  /** Why there should be a database; null if the first start is still to come, or the files cannot be read. */
  const why = readableEvidence(config, record)
  const masterKey = await check('master key', () => checkMasterKey(config))
  const firstStart = (folder: string) => () => `${folder} will be created at the first start`
  if (!config.masterKey)
    await check('keys folder', () => checkFolder(config.keysDir, firstStart(config.keysDir)))
  if (file !== null) {
    await check('data folder', () =>
      checkFolder(
        dirname(file),
        why === null ? firstStart(dirname(file)) : () => missingFolder(dirname(file), why),
      ),
    )
    // A database that is missing is reported by the next check.
    if (existsSync(file)) await check('database file', () => checkDatabaseFile(file))
  }
  const written = [file, record.file].filter((name) => name !== null)
  if (written.length > 0) await check('free space', () => checkFreeSpace(written))
  const db = await check('store', () =>
    openExisting(config).catch((error) => {
      throw explainMissing(error, config, record)
    }),
  )
  /** undefined if unknown, null if there is no ring. */
  let ring: Ring | null | undefined
  let nodes: readonly ServingNode[] = []
  /** What the nodes do follows from their settings. */
  const effective = () => settingsOfNodes(config, nodes).config
  try {
    /** Seconds by which this machine is ahead of the cluster clock (src/node/cluster-clock.ts). */
    const aheadBy = db?.time && clock === systemClock ? clock.now() - Math.floor((await db.time()) / 1000) : 0
    if (db?.time) await check('store clock', () => checkStoreClock(aheadBy))
    const sharedClock = { now: () => clock.now() - aheadBy }
    if (db) {
      await check('durability', () => checkDurability(db, config))
      await check('integrity', () => checkIntegrity(db, config))
      const ready = await check('migrations', () => checkMigrations(db, config))
      if (ready) {
        await check('store record', () => checkRecord(db, config, record))
        ring = await check('ring', () => checkRing(db, sharedClock.now()))
        nodes = (await check('nodes', () => checkNodes(db, sharedClock))) ?? []
        if (nodes.length > 0) await check('node settings', () => checkNodeSettings(config, nodes))
      }
    }
    if (ring) {
      const knownRing = ring
      // undefined means that the master key could not be read, which was reported above.
      const masterKeys =
        masterKey === undefined
          ? undefined
          : await check('signing keys', () => checkKeys(knownRing, config, masterKey))
      if (db && masterKeys)
        await check('master key rotation', () =>
          checkMasterKeyRotation(db, knownRing, config, masterKeys, sharedClock),
        )
      await check('schedule', () =>
        checkSchedule(knownRing, sharedClock.now(), effective(), nodes.map(nodeName)),
      )
    }
  } finally {
    await db?.close()
  }
  const kids = ring?.keys.filter(isPublished).map((key) => key.kid)
  await check('server', () =>
    checkServer(effective(), kids ?? (ring === null ? [] : null), nodes.map(nodeName)),
  )
  return findings
}

function missingFolder(folder: string, why: string): never {
  throw new Error(`${folder} is missing, although ${why}: mount or restore it`)
}

function readConfig(io: Io): readonly [string, Config] {
  const config = loadConfig(io.env, io.cwd)
  return [`all settings are valid, the issuer is ${config.issuer}`, config]
}

function checkClock(now: EpochSeconds): readonly [string] {
  if (now < EARLIEST_PLAUSIBLE_TIME)
    throw new Error(
      `${time(now)} cannot be the current time: set the clock, because every token depends on it`,
    )
  return [`it is ${time(now)}`]
}

async function checkRecord(db: Db, config: Config, record: StoreRecord): Promise<readonly [string]> {
  if (record.file === null) return ['off: nothing outside the database shows whether it is the right one']
  const recorded = record.recorded()
  if (!recorded) return [`${record.file} will be created when the server starts`]
  assertRecorded(await createStore(db).identity.read(), config, record)
  return [`${record.file} names this store, and row ${recorded.audit.seq} of its audit log`]
}

/** Seconds. Clocks that are synchronised differ by much less. */
const MAX_CLOCK_DIFFERENCE = 5

function checkStoreClock(aheadBy: number): readonly [string] {
  if (Math.abs(aheadBy) < MAX_CLOCK_DIFFERENCE) return ['equal to the clock of this machine']
  const difference = `${Math.abs(aheadBy)} s ${aheadBy > 0 ? 'behind' : 'ahead of'}`
  throw new Error(
    `the database clock, which all nodes use, is ${difference} this machine's: synchronise both (NTP)`,
  )
}

async function checkMigrations(db: Db, config: Config): Promise<readonly [string, true]> {
  const steps = await migrationStatus(db)
  if (isEmpty(steps)) throw new StoreMissing(databaseName(config.databaseUrl))
  const missing = steps.filter(({ applied_at }) => applied_at === null)
  if (missing.length > 0) {
    throw new Error(
      `${missing.map(({ name }) => name).join(', ')} not applied: run ${commandLine('migrate')}`,
    )
  }
  const newer = steps.filter((step) => step.newer)
  if (newer.length > 0) {
    return [`all applied, and ${newer.map(({ name }) => name).join(', ')} from a newer version`, true]
  }
  return [`${steps.length} applied, none pending`, true]
}

async function checkRing(db: Db, now: EpochSeconds): Promise<readonly [string, Ring | null]> {
  const store = createStore(db)
  const remains = await findRemains(store)
  if (remains.length > 0)
    throw new Error(`there is none, but there are rows in ${listed(remains)}: restore a backup`)
  const ring = await store.ring.read()
  if (!ring) return [`none yet: ${commandLine('serve')} creates it`, null]
  const future = ring.keys.find((key) =>
    [key.createdAt, key.publishedAt, key.signsFrom, key.stoppedAt, key.leftAt].some(
      (at) => at !== null && at > now + SKEW,
    ),
  )
  if (future) {
    throw new Error(`key ${future.kid} has a time in the future: the clock was set back, or is wrong now`)
  }
  const active = activeKey(ring)
  nextKey(ring)
  return [`version ${ring.version}, ${active.alg}, one active and one next key`, ring]
}

/** Seconds. A running server performs what is due within one second. */
const OVERDUE_AFTER = 60

function checkSchedule(
  ring: Ring,
  now: EpochSeconds,
  config: Config,
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
  const rotation = automaticRotationAt(ring, config)
  if (rotation === null) return ['automatic rotation is off']
  if (now > rotation + OVERDUE_AFTER) {
    throw new Error(`a rotation has been due since ${time(rotation)}: ${remedy}`)
  }
  return [`the next rotation is due in ${span(rotation - now)}`]
}
