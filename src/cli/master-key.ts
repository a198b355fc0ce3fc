import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { createResealFactors } from '../accounts/reencrypt-factors.ts'
import type { Config } from '../config/load.ts'
import type { Keys } from '../keys/index.ts'
import { createMasterKey, keepOld, masterKeyFile, promoteNext, readMasterKey } from '../keys/master-key.ts'
import type { MasterKey } from '../keys/master-keys.ts'
import { ensureRing } from '../keys/rotate.ts'
import { oldRoots, reseal } from '../keys/rotate-master-key.ts'
import type { Base } from '../node/base.ts'
import { isServing } from '../node/heartbeat.ts'
import type { ServingNode } from '../store/contracts/nodes.ts'
import { action, CommandError, type Context, examples, type Json, UsageError } from './context.ts'
import { describeNode } from './nodes.ts'
import { describeRoot, inWords } from './old-data-keys.ts'
import { count } from './output.ts'
import { withProgress } from './progress.ts'

interface ResealOptions extends Json {
  readonly prepare?: boolean
  readonly force?: boolean
  readonly compromised?: boolean
  readonly status?: boolean
  readonly dropOld?: boolean
}

export const resealCommand = (context: Context): Command =>
  examples(
    action('reseal', 'a new master key, without downtime')
      .option('--prepare', 'see to the next key, and say which nodes hold it; seal nothing')
      .option('--force', 'even if a serving node does not hold the next key')
      .option('--compromised', 'nothing counts any more that was written with what the old key opens')
      .option('--status', 'what the store is sealed with, and what still depends on an old root')
      .option('--drop-old', 'nothing counts any more that depends on an old root')
      .action((options: ResealOptions) => run(context, options)),
    'keys reseal',
    'keys reseal --prepare',
    'keys reseal --compromised',
  )

function run(context: Context, options: ResealOptions): Promise<void> {
  const modes = [options.prepare, options.status, options.dropOld].filter(Boolean).length
  if (modes > 1 || (modes === 1 && (options.force || options.compromised)))
    throw new UsageError('--prepare, --status and --drop-old stand alone')
  return context.withKeys(async (base, keys) => {
    if (options.status || options.dropOld) return showStatus(context, options, base, keys)
    const place = placeOf(base.config)
    const from = keys.holder.openerOf(await ensureRing(keys))
    const there = nextOf(base.config, place, keys)
    if (there && there.fingerprint === from.fingerprint && keys.holder.keys().length > 1)
      return finish(context, options, base, there)

    if (place === 'files') assertRoomForOld(base.config)
    const to = there ?? prepare(base, keys, place)
    const { serving, without } = await withProgress(
      context.io,
      () => 'waiting for the nodes to hold the next key …',
      holding(base, to),
    )
    if (options.prepare) return report(context, options, { base, to, texts: 0, serving, without })
    if (without.length > 0 && !options.force) throw notHeld(to, without)

    const { compromised = false } = options
    const deps = { ...base, holder: keys.holder }
    const { texts } = await reseal(deps, to, { actor: context.actor, compromised })
    await keys.roots.sync()
    await createResealFactors({ ...base.store, roots: keys.roots, random: base.random })()
    if (place === 'files') moveFiles(base, to)
    await report(context, options, { base, to, texts, serving, without })
  })
}

/** Where the keys are from, and so who puts the next one in its place. */
type Place = 'files' | 'settings'

const placeOf = ({ masterKey, masterKeyNext }: Config): Place =>
  masterKey || masterKeyNext ? 'settings' : 'files'

function nextOf(config: Config, place: Place, { holder }: Keys): MasterKey | null {
  const key = place === 'settings' ? config.masterKeyNext : readMasterKey(config.keysDir, 'next')
  if (!key) return null
  // If it equals the current key, there is only one entry, the current key's.
  return holder.keys().find((held, i) => held.key.equals(key) && (i > 0 || !config.masterKey)) ?? null
}

/** Found out before anything is sealed: no key is ever overwritten. */
function assertRoomForOld({ keysDir }: Config): void {
  const old = readMasterKey(keysDir, 'old')
  if (!old || readMasterKey(keysDir)?.equals(old)) return
  throw new CommandError(
    `${masterKeyFile(keysDir, 'old')} is there from the reseal before: move it to the backups that it opens, or delete it`,
  )
}

/** The next key, made now if it is for us to make it. */
function prepare({ config, random, failpoint }: Base, { holder }: Keys, place: Place): MasterKey {
  if (place === 'settings') {
    if (config.masterKeyNext)
      throw new CommandError('KEYTURN_MASTER_KEY_NEXT is the same key as KEYTURN_MASTER_KEY')
    throw new CommandError(
      'KEYTURN_MASTER_KEY_NEXT is missing: give all nodes the same new one, 32 random bytes in base64url',
    )
  }
  const { keysDir } = config
  const key = createMasterKey(keysDir, random, 'next')
  failpoint('reseal:prepared')
  holder.refresh()
  const held = holder.keys().find((one) => one.key.equals(key))
  if (!held) throw new CommandError(`${masterKeyFile(keysDir, 'next')} cannot be read`)
  return held
}

/** Whatever is left of an earlier run, done so that each step may be the last one. */
function moveFiles({ config: { keysDir }, failpoint }: Base, to: MasterKey): void {
  if (readMasterKey(keysDir)?.equals(to.key)) return
  keepOld(keysDir)
  failpoint('reseal:kept')
  promoteNext(keysDir)
  failpoint('reseal:promoted')
}

/** The store is sealed with the next key already. */
async function finish(context: Context, options: ResealOptions, base: Base, to: MasterKey): Promise<void> {
  if (options.compromised) {
    throw new CommandError(
      'the store is sealed with the next key already: finish that without --compromised, then reseal once more',
    )
  }
  if (placeOf(base.config) === 'files' && !options.prepare) moveFiles(base, to)
  await report(context, options, { base, to, texts: 0, ...(await holding(base, to)) })
}

/** "Within about a second" (CONTRACT §3), three times. */
const LOOKS = 30
const PAUSE_MS = 100

async function holding({ store, clock }: Base, { fingerprint }: MasterKey) {
  for (let look = 1; ; look += 1) {
    const serving = (await store.nodes.list()).filter((node) => isServing(node, clock.now()))
    const without = serving.filter(({ masterKeys }) => !masterKeys.includes(fingerprint))
    if (without.length === 0 || look === LOOKS) return { serving, without }
    await sleep(PAUSE_MS)
  }
}

const names = (nodes: readonly ServingNode[]): string =>
  nodes.map(({ hostname, pid }) => `${hostname}:${pid}`).join(', ')

function notHeld({ fingerprint }: MasterKey, without: readonly ServingNode[]): CommandError {
  return new CommandError(
    `not held by ${names(without)}: the next key, ${fingerprint}; they could not serve any more. --force goes ahead`,
    { master_key: fingerprint, nodes_without: without.map(describeNode) },
  )
}

interface Outcome {
  readonly base: Base
  readonly to: MasterKey
  readonly texts: number
  readonly serving: readonly ServingNode[]
  readonly without: readonly ServingNode[]
}

async function report(context: Context, options: ResealOptions, outcome: Outcome): Promise<void> {
  const { base, to, texts, serving, without } = outcome
  const place = placeOf(base.config)
  const old = await oldRoots(base)
  const { keysDir } = base.config
  const oldKey = place === 'files' && !options.prepare ? masterKeyFile(keysDir, 'old') : null
  const value = {
    master_key: to.fingerprint,
    resealed: texts,
    prepared: options.prepare === true,
    nodes: serving.length,
    nodes_without: without.map(describeNode),
    old_key_file: oldKey,
    old_roots: old.map(describeRoot),
  }
  const nodes =
    serving.length === 0
      ? []
      : [
          `nodes       ${serving.length - without.length} of ${serving.length} hold it${without.length > 0 ? `; not: ${names(without)}` : ''}`,
        ]
  const lines = [
    `master key  ${to.fingerprint}`,
    ...nodes,
    ...(options.prepare
      ? ['Nothing was sealed: keyturn keys reseal does it.']
      : whatNow(options, texts, place, oldKey)),
    ...old.map(inWords),
  ]
  context.print(options, value, lines.join('\n'))
}

function whatNow(options: ResealOptions, texts: number, place: Place, oldKey: string | null): string[] {
  const put =
    place === 'files'
      ? `It is in its place. The old one is ${oldKey}: keep it with the backups of before, which it alone opens, and delete it here.`
      : 'Give the nodes the new key as KEYTURN_MASTER_KEY, without KEYTURN_MASTER_KEY_NEXT, at leisure. Backups of before need the old one.'
  const done =
    texts === 0 ? 'The store was sealed with it already.' : `${count(texts, 'secret')} sealed anew.`
  if (!options.compromised) return [done, put]
  return [
    done,
    put,
    'Refresh tokens and recovery codes of before are void.',
    'Whoever had the old key and the database may have the signing keys and the secrets of authenticator apps: keyturn keys revoke',
    'the next key, then the active one, and keyturn users reset-second-factor where it matters.',
  ]
}

async function showStatus(context: Context, options: ResealOptions, base: Base, keys: Keys): Promise<void> {
  const { store, clock } = base
  const current = keys.holder.openerOf(await ensureRing(keys))
  if (options.dropOld) await store.roots.voidBefore(keys.roots.known()[0]?.number ?? 0)
  const old = await oldRoots(base)
  const serving = (await store.nodes.list()).filter((node) => isServing(node, clock.now()))
  const value = {
    master_key: current.fingerprint,
    held: keys.holder.keys().map(({ fingerprint }) => fingerprint),
    nodes: serving.map(describeNode),
    old_roots: old.map(describeRoot),
  }
  const lines = [
    `sealed with  ${current.fingerprint}`,
    `held         ${value.held.join(' ')}`,
    ...serving.map(
      (node) => `${node.hostname}:${node.pid} holds ${node.masterKeys.join(' ') || 'none that it says'}`,
    ),
    ...(old.length === 0 ? ['There is one root, and nothing depends on another.'] : old.map(inWords)),
  ]
  context.print(options, value, lines.join('\n'))
}
