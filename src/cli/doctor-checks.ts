/**
 * The doctor's checks, in the order in which one depends on another. Each is done even if those before it failed,
 * as far as that makes sense; none changes or creates anything. A new check is a line in `examine`.
 */
import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Config, ConfigError, loadConfig } from '../config/load.ts'
import * as law from '../keys/ring.ts'
import type { Ring } from '../store/contracts/ring.ts'
import type { Db } from '../store/db.ts'
import { createStore, databaseFile } from '../store/index.ts'
import { migrationStatus } from '../store/migrate.ts'
import { type EpochSeconds, systemClock } from '../system.ts'
import { checkKeys, checkMasterKey, checkMasterKeyRotation } from './doctor-keys.ts'
import { checkServer } from './doctor-server.ts'
import { checkDurability, checkIntegrity, openExisting } from './doctor-store.ts'
import { explain } from './explain.ts'
import type { Io } from './io.ts'
import { span, time } from './output.ts'

export interface Finding {
  readonly check: string
  readonly ok: boolean
  /** What was found; if that is not well, what to do. */
  readonly message: string
}

/** Keyturn did not exist before; a clock that says so was never set. */
const EARLIEST_PLAUSIBLE_TIME: EpochSeconds = Date.UTC(2026, 0, 1) / 1000

export async function examine(io: Io): Promise<Finding[]> {
  const findings: Finding[] = []
  const clock = io.clock ?? systemClock
  const now = clock.now()

  /** Notes what `work` says, or throws; its result is for the checks that build on it. */
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
  const masterKey = await check('master key', () => checkMasterKey(config))
  if (!config.masterKey) await check('keys folder', () => checkFolder(config.keysDir))
  if (file !== null) {
    await check('data folder', () => checkFolder(dirname(file)))
    await check('database file', () => checkDatabaseFile(file))
  }
  const db = await check('store', () => openExisting(config))
  /** undefined: not known; null: there is none. */
  let ring: Ring | null | undefined = db === null ? null : undefined
  try {
    /** By how much this machine is ahead of the clock that all nodes use (node/cluster-clock.ts). */
    const ahead = db?.time && clock === systemClock ? clock.now() - Math.floor((await db.time()) / 1000) : 0
    if (db?.time) await check('store clock', () => checkStoreClock(ahead))
    const shared = { now: () => clock.now() - ahead }
    if (db) {
      await check('durability', () => checkDurability(db, config))
      await check('integrity', () => checkIntegrity(db, config))
      const ready = await check('migrations', () => checkMigrations(db))
      if (ready) ring = await check('ring', () => checkRing(db, shared.now()))
      else if (ready === false) ring = null
    }
    if (ring) {
      const known = ring
      // undefined: there is a master key that cannot be read, which was reported above.
      const masterKeys =
        masterKey === undefined
          ? undefined
          : await check('signing keys', () => checkKeys(known, config, masterKey))
      if (db && masterKeys)
        await check('master key rotation', () =>
          checkMasterKeyRotation(db, known, config, masterKeys, shared),
        )
      await check('schedule', () => checkSchedule(known, shared.now(), config))
    }
  } finally {
    await db?.close()
  }
  const kids = ring?.keys.filter(law.isPublished).map((key) => key.kid)
  await check('server', () => checkServer(config, kids ?? (ring === null ? [] : null)))
  return findings
}

function readConfig(io: Io): readonly [string, Config] {
  const config = loadConfig(io.env, io.cwd)
  return [`the settings are fine, the issuer is ${config.issuer}`, config]
}

function checkClock(now: EpochSeconds): readonly [string] {
  if (now < EARLIEST_PLAUSIBLE_TIME)
    throw new Error(`the clock says ${time(now)}: set it, every token depends on it`)
  return [`it is ${time(now)}`]
}

/** More than anything that is kept in step would show. */
const APART = 5

function checkStoreClock(ahead: number): readonly [string] {
  if (Math.abs(ahead) < APART) return ['it is that of this machine']
  const words = `${Math.abs(ahead)} s ${ahead > 0 ? 'behind' : 'ahead of'} this machine's`
  throw new Error(`it is ${words}, and all nodes go by it: keep both in step (NTP)`)
}

function checkFolder(folder: string): readonly [string] {
  if (!existsSync(folder)) return [`${folder} will be made at the first start`]
  const stat = statSync(folder)
  if (!stat.isDirectory()) throw new Error(`${folder} is not a folder: move it away`)
  const ourGroup = stat.gid === process.getegid?.()
  if (stat.mode & 0o002 || (stat.mode & 0o020 && !ourGroup)) {
    throw new Error(`others can write to ${folder}, and replace what is in it: chmod 700 ${folder}`)
  }
  return [folder]
}

function checkDatabaseFile(file: string): readonly [string] {
  if (!existsSync(file)) return [`${file} will be made at the first start`]
  if (statSync(file).mode & 0o077) {
    throw new Error(`${file} can be read by others, and holds password hashes: chmod 600 ${file}`)
  }
  return [`${file}, readable by its owner alone`]
}

async function checkMigrations(db: Db): Promise<readonly [string, boolean]> {
  const steps = await migrationStatus(db)
  const missing = steps.filter(({ applied_at }) => applied_at === null)
  if (missing.length === steps.length) return ['none yet: the first start applies them', false]
  if (missing.length > 0) {
    throw new Error(`${missing.map(({ name }) => name).join(', ')} not applied: keyturn migrate`)
  }
  const newer = steps.filter((step) => step.newer)
  if (newer.length > 0) {
    return [`all applied, and ${newer.map(({ name }) => name).join(', ')} of a newer version`, true]
  }
  return [`all ${steps.length} applied`, true]
}

async function checkRing(db: Db, now: EpochSeconds): Promise<readonly [string, Ring | null]> {
  const ring = await createStore(db).ring.read()
  if (!ring) return ['there is none yet: keyturn serve makes it', null]
  const future = ring.keys.find((key) =>
    [key.createdAt, key.publishedAt, key.signsFrom, key.stoppedAt, key.leftAt].some(
      (at) => at !== null && at > now + law.SKEW,
    ),
  )
  if (future) {
    throw new Error(`key ${future.kid} is dated in the future: the clock was set back, or is wrong now`)
  }
  const active = law.activeKey(ring)
  law.nextKey(ring)
  return [`version ${ring.version}, ${active.alg}, one active and one next key`, ring]
}

/** A running server does what is due within a second. */
const LATE = 60

function checkSchedule(ring: Ring, now: EpochSeconds, config: Config): readonly [string] {
  for (const key of ring.keys) {
    const leaves = key.state === 'retiring' ? law.leavesAt(key) : null
    if (leaves !== null && now > leaves + LATE) {
      throw new Error(`key ${key.kid} should have left at ${time(leaves)}: start keyturn serve`)
    }
  }
  const rotation = law.automaticRotationAt(ring, config)
  if (rotation === null) return ['automatic rotation is off']
  if (now > rotation + LATE) {
    throw new Error(`a rotation has been due since ${time(rotation)}: start keyturn serve`)
  }
  return [`the next rotation is due in ${span(rotation - now)}`]
}
