/**
 * All checks of the doctor: those of `admin/checks/`, which a serving process can also do, and those that only a command can do. A
 * check runs even if earlier ones failed, unless it needs their results. No check changes or creates anything. A new check is a line
 * in `runChecks`, or in `admin/checks/index.ts`.
 */
import { checkClock, checkStoreClock } from '../admin/checks/clock.ts'
import { checkAnswers, checkDurability, checkIntegrity } from '../admin/checks/database.ts'
import { createReport, type Finding } from '../admin/checks/finding.ts'
import { checkFiles, checkSigning } from '../admin/checks/index.ts'
import { checkRing } from '../admin/checks/ring.ts'
import { commandLine } from '../command-line.ts'
import { type Config, ConfigError, loadConfig } from '../config/load.ts'
import { isPublished } from '../keys/ring.ts'
import { databaseOptions } from '../node/base.ts'
import { assertRecorded, explainMissing, readableEvidence } from '../node/expected-store.ts'
import { settingsOfNodes } from '../node/node-settings.ts'
import { createStoreRecord, type StoreRecord } from '../node/store-record.ts'
import type { ServingNode } from '../store/contracts/nodes.ts'
import { nodeName } from '../store/contracts/nodes.ts'
import type { Ring } from '../store/contracts/ring.ts'
import { databaseName } from '../store/database-url.ts'
import { type Db, StoreMissing } from '../store/db.ts'
import { createStore, openDb } from '../store/index.ts'
import { isEmpty, migrationStatus } from '../store/migrate.ts'
import { systemClock } from '../system.ts'
import { checkNodeSettings, checkNodes } from './doctor-nodes.ts'
import { checkServer } from './doctor-server.ts'
import { checkTls } from './doctor-tls.ts'
import { explain } from './explain.ts'
import type { Io } from './io.ts'

export async function runChecks(io: Io): Promise<readonly Finding[]> {
  const report = createReport((error) => (error instanceof ConfigError ? error.problems : [explain(error)]))
  const { check, findings } = report
  const clock = io.clock ?? systemClock
  const now = clock.now()
  const config = await check('configuration', () => readConfig(io))
  await check('clock', () => checkClock(now))
  if (!config) return findings

  if (config.tlsCertFile !== null) await check('TLS', () => checkTls(config, now))
  const record = createStoreRecord(config)
  const masterKeys = await checkFiles(report, config, {
    recordFile: record.file,
    why: readableEvidence(config, record),
  })
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
        ring = await check('ring', () => checkRing(createStore(db), sharedClock.now()))
        nodes = (await check('nodes', () => checkNodes(db, sharedClock))) ?? []
        if (nodes.length > 0) await check('node settings', () => checkNodeSettings(config, nodes))
      }
    }
    if (db && ring) {
      const policy = effective()
      const names = nodes.map(nodeName)
      const store = createStore(db)
      await checkSigning(report, {
        store,
        ring,
        config,
        masterKeys,
        clock: sharedClock,
        policy,
        nodes: names,
      })
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

function readConfig(io: Io): readonly [string, Config] {
  const config = loadConfig(io.env, io.cwd)
  return [`all settings are valid, the issuer is ${config.issuer}`, config]
}

async function checkRecord(db: Db, config: Config, record: StoreRecord): Promise<readonly [string]> {
  if (record.file === null) return ['off: nothing outside the database shows whether it is the right one']
  const recorded = record.recorded()
  if (!recorded) return [`${record.file} will be created when the server starts`]
  assertRecorded(await createStore(db).identity.read(), config, record)
  return [`${record.file} names this store, and row ${recorded.audit.seq} of its audit log`]
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

async function openExisting(config: Config): Promise<readonly [string, Db]> {
  const db = openDb(config.databaseUrl, databaseOptions(config))
  try {
    const [message] = await checkAnswers(db, config)
    return [message, db]
  } catch (error) {
    await db.close()
    throw error
  }
}
