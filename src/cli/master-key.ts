import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { createReencryptFactors } from '../accounts/reencrypt-factors.ts'
import { describeNode } from '../admin/nodes.ts'
import { commandLine } from '../command-line.ts'
import type { Config } from '../config/load.ts'
import type { Keys } from '../keys/index.ts'
import { createMasterKey, keepOld, masterKeyFile, promoteNext, readMasterKey } from '../keys/master-key.ts'
import type { MasterKey } from '../keys/master-keys.ts'
import { ensureRing } from '../keys/rotate.ts'
import { oldDataKeys, rotateMasterKey } from '../keys/rotate-master-key.ts'
import type { Base } from '../node/base.ts'
import { servingNodes } from '../node/node-settings.ts'
import type { ServingNode } from '../store/contracts/nodes.ts'
import { nodeName } from '../store/contracts/nodes.ts'
import {
  action,
  CommandError,
  type CommandFactory,
  type Context,
  examples,
  type Json,
  UsageError,
} from './context.ts'
import { dataKeySentence, describeDataKey } from './old-data-keys.ts'
import { count } from './output.ts'
import { withProgress } from './progress.ts'

interface RotateOptions extends Json {
  readonly prepare?: boolean
  readonly force?: boolean
  readonly compromised?: boolean
}

export const masterKeyCommand: CommandFactory = (context) =>
  new Command('master-key')
    .description('rotate the master key, which encrypts the keys in the database')
    .addCommand(
      examples(
        action('rotate', 'switch to a new master key, without downtime')
          .option('--prepare', 'only create the next master key and report which nodes have it')
          .option('--force', 'rotate even if a serving node does not have the next master key')
          .option('--compromised', 'also invalidate the refresh tokens and recovery codes issued so far')
          .action((options: RotateOptions) => rotate(context, options)),
        'master-key rotate',
        'master-key rotate --prepare',
        'master-key rotate --compromised',
      ),
    )
    .addCommand(
      examples(
        action(
          'status',
          'show which master key is in use, which nodes have it, and what depends on old data keys',
        ).action((options: Json) =>
          context.withKeys((base, keys) => showStatus(context, options, base, keys)),
        ),
        'master-key status',
      ),
    )
    .addCommand(
      examples(
        action(
          'drop-old',
          'invalidate refresh tokens and recovery codes that depend on an old data key',
        ).action((options: Json) => dropOld(context, options)),
        'master-key drop-old',
      ),
    )

function rotate(context: Context, options: RotateOptions): Promise<void> {
  if (options.prepare && (options.force || options.compromised))
    throw new UsageError('--prepare cannot be combined with --force or --compromised')
  return context.withKeys(async (base, keys) => {
    const source = keySource(base.config)
    const from = keys.masterKeys.inUse(await ensureRing(keys))
    const existing = findNextKey(base.config, source, keys)
    if (existing && existing.id === from.id && keys.masterKeys.list().length > 1)
      return finish(context, options, base, existing)

    if (source === 'files') assertNoOldKeyFile(base.config)
    const to = existing ?? createNextKey(base, keys, source)
    const { serving, without } = await withProgress(
      context.io,
      () => 'waiting until all nodes have the next master key …',
      waitForNodes(base, to),
    )
    if (options.prepare) return report(context, options, { base, to, reencrypted: 0, serving, without })
    if (without.length > 0 && !options.force) throw missingAtNodes(to, without)

    const { compromised = false } = options
    const deps = { ...base, masterKeys: keys.masterKeys }
    const reencrypted = await rotateMasterKey(deps, to, { actor: context.actor, compromised })
    await keys.dataKeys.sync()
    await createReencryptFactors({ ...base.store, dataKeys: keys.dataKeys, random: base.random })()
    if (source === 'files') replaceKeyFiles(base, to)
    await report(context, options, { base, to, reencrypted, serving, without })
  })
}

/** Where the master keys come from. The command replaces files; the operator must change settings. */
type KeySource = 'files' | 'settings'

const keySource = ({ masterKey, masterKeyNext }: Config): KeySource =>
  masterKey || masterKeyNext ? 'settings' : 'files'

function findNextKey(config: Config, source: KeySource, { masterKeys }: Keys): MasterKey | undefined {
  const key = source === 'settings' ? config.masterKeyNext : readMasterKey(config.keysDir, 'next')
  // If the next key is the same as the current one, there is only one key in the list.
  if (!key) return undefined
  return masterKeys.list().find((candidate, i) => candidate.key.equals(key) && (i > 0 || !config.masterKey))
}

/** Called before anything is encrypted, because a master key file is never overwritten. */
function assertNoOldKeyFile({ keysDir }: Config): void {
  const old = readMasterKey(keysDir, 'old')
  if (!old || readMasterKey(keysDir)?.equals(old)) return
  throw new CommandError(
    `${masterKeyFile(keysDir, 'old')} is left over from the previous rotation: store it with the older backups, or delete it`,
  )
}

/** Creates the next master key, unless it must come from the settings. */
function createNextKey(
  { config, random, failpoint }: Base,
  { masterKeys }: Keys,
  source: KeySource,
): MasterKey {
  if (source === 'settings') {
    if (config.masterKeyNext)
      throw new CommandError('KEYTURN_MASTER_KEY_NEXT is the same key as KEYTURN_MASTER_KEY')
    throw new CommandError(
      'KEYTURN_MASTER_KEY_NEXT is missing: give all nodes the same new key, 32 random bytes in base64url',
    )
  }
  const { keysDir } = config
  const key = createMasterKey(keysDir, random, 'next')
  failpoint('master-key:prepared')
  masterKeys.refresh()
  const created = masterKeys.list().find((candidate) => candidate.key.equals(key))
  if (!created) throw new CommandError(`${masterKeyFile(keysDir, 'next')} cannot be read`)
  return created
}

/** Renames the two key files. If the command crashes between the two steps, its next run does the second one. */
function replaceKeyFiles({ config: { keysDir }, failpoint }: Base, to: MasterKey): void {
  if (readMasterKey(keysDir)?.equals(to.key)) return
  keepOld(keysDir)
  failpoint('master-key:old-kept')
  promoteNext(keysDir)
  failpoint('master-key:promoted')
}

/** Completes a rotation that was interrupted after the store was encrypted under the next master key. */
async function finish(context: Context, options: RotateOptions, base: Base, to: MasterKey): Promise<void> {
  if (options.compromised) {
    throw new CommandError(
      'the store is already encrypted under the next master key: run the command without --compromised to finish, then again with it',
    )
  }
  if (keySource(base.config) === 'files' && !options.prepare) replaceKeyFiles(base, to)
  await report(context, options, { base, to, reencrypted: 0, ...(await waitForNodes(base, to)) })
}

/** The polls take 3 seconds in total, because nodes read the key files and announce new keys within about a second. */
const MAX_POLLS = 30
const POLL_INTERVAL_MS = 100

async function waitForNodes({ store, clock }: Base, { id }: MasterKey) {
  for (let poll = 1; ; poll += 1) {
    const serving = await servingNodes(store.nodes, clock)
    const without = serving.filter(({ masterKeys }) => !masterKeys.includes(id))
    if (without.length === 0 || poll === MAX_POLLS) return { serving, without }
    await sleep(POLL_INTERVAL_MS)
  }
}

const nodeNames = (nodes: readonly ServingNode[]): string => nodes.map(nodeName).join(', ')

function missingAtNodes({ id }: MasterKey, without: readonly ServingNode[]): CommandError {
  return new CommandError(
    `${nodeNames(without)} could not serve after the rotation, because the next master key ${id} is missing there; --force rotates anyway`,
    { master_key: id, nodes_without: without.map(describeNode) },
  )
}

interface Outcome {
  readonly base: Base
  readonly to: MasterKey
  readonly reencrypted: number
  readonly serving: readonly ServingNode[]
  readonly without: readonly ServingNode[]
}

async function report(context: Context, options: RotateOptions, outcome: Outcome): Promise<void> {
  const { base, to, reencrypted, serving, without } = outcome
  const source = keySource(base.config)
  const old = await oldDataKeys(base)
  const { keysDir } = base.config
  const oldKeyFile = source === 'files' && !options.prepare ? masterKeyFile(keysDir, 'old') : null
  const value = {
    master_key: to.id,
    reencrypted,
    prepared: options.prepare === true,
    nodes: serving.length,
    nodes_without: without.map(describeNode),
    old_key_file: oldKeyFile,
    old_data_keys: old.map(describeDataKey),
  }
  const missing = without.length > 0 ? `; missing at ${nodeNames(without)}` : ''
  const lines = [
    `master key  ${to.id}`,
    ...(serving.length === 0
      ? []
      : [`nodes       ${serving.length - without.length} of ${serving.length} have the key${missing}`]),
    ...(options.prepare
      ? [`The database is unchanged. To continue: ${commandLine('master-key rotate')}`]
      : nextSteps(options, reencrypted, oldKeyFile)),
    ...old.map(dataKeySentence),
  ]
  context.print(options, value, lines.join('\n'))
}

function nextSteps(options: RotateOptions, reencrypted: number, oldKeyFile: string | null): string[] {
  const lines = [
    reencrypted === 0
      ? 'The database was already encrypted under this key.'
      : `${count(reencrypted, 'key')} in the database ${reencrypted === 1 ? 'is' : 'are'} now encrypted under this key.`,
    oldKeyFile === null
      ? 'Next: on each node, set KEYTURN_MASTER_KEY to the new key and remove KEYTURN_MASTER_KEY_NEXT. Older backups need the old key.'
      : `The old master key is now ${oldKeyFile}. Older backups need it: store the file with them, and delete it here.`,
  ]
  if (!options.compromised) return lines
  return [
    ...lines,
    'All refresh tokens and recovery codes that were issued before are invalid.',
    'Anyone with the old master key and a copy of the database has the signing keys and the secrets of authenticator apps.',
    `Revoke the next key and then the active key with ${commandLine('keys revoke')}, and run ${commandLine('users reset-second-factor')} for important accounts.`,
  ]
}

async function showStatus(context: Context, options: Json, base: Base, keys: Keys): Promise<void> {
  const { store, clock } = base
  const current = keys.masterKeys.inUse(await ensureRing(keys))
  const old = await oldDataKeys(base)
  const serving = await servingNodes(store.nodes, clock)
  const value = {
    master_key: current.id,
    available: keys.masterKeys.list().map(({ id }) => id),
    nodes: serving.map(describeNode),
    old_data_keys: old.map(describeDataKey),
  }
  const lines = [
    `in use     ${current.id}`,
    `available  ${value.available.join(' ')}`,
    ...serving.map(
      (node) => `${nodeName(node)} has ${node.masterKeys.join(' ') || 'not reported its master keys'}`,
    ),
    ...(old.length === 0 ? ['There are no old data keys.'] : old.map(dataKeySentence)),
  ]
  context.print(options, value, lines.join('\n'))
}

function dropOld(context: Context, options: Json): Promise<void> {
  return context.withKeys(async (base, keys) => {
    await base.store.dataKeys.invalidateBefore(keys.dataKeys.all()[0]?.number ?? 0)
    await showStatus(context, options, base, keys)
  })
}
