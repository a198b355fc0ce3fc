import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import type { Admin } from '../admin/admin.ts'
import { AdminError } from '../admin/errors.ts'
import type { KeyRingView } from '../admin/keys.schema.ts'
import type { AlgorithmName } from '../algorithm-names.ts'
import {
  action,
  CommandError,
  type CommandFactory,
  type Context,
  examples,
  type Json,
  UsageError,
} from './context.ts'
import { bitsOption, type KeyOptions, keyChoice } from './key-options.ts'
import { laneOption, lanesCommand } from './keys-lanes.ts'
import { nodeLines, waitForNodes } from './keys-nodes.ts'
import { simulateCommand } from './keys-simulate.ts'
import { timeline } from './keys-timeline.ts'
import { span, table, time } from './output.ts'
import { withProgress } from './progress.ts'

export const keysCommand: CommandFactory = (context) =>
  new Command('keys')
    .description('show, rotate and revoke the signing keys')
    .addCommand(
      examples(
        action('list', 'list all keys of the ring with their states').action((options: Json) =>
          list(context, options),
        ),
        'keys list',
        'keys list --json',
      ),
    )
    .addCommand(
      examples(
        action(
          'status',
          'show whether it is safe to rotate now, and when the next automatic rotation is due',
        ).action((options: Json) => status(context, options)),
        'keys status',
      ),
    )
    .addCommand(
      examples(
        action('rotate', 'start signing with the next key, and publish a new next key')
          .option('--force', 'rotate even if a verifier may not have the next key yet')
          .option('--wait', 'wait until it is safe, then rotate')
          .addOption(bitsOption('RSA key size of the new next key'))
          .addOption(laneOption('rotate only the lane of this algorithm; by default all lanes'))
          .action((options: RotateOptions) => rotate(context, options)),
        'keys rotate',
        'keys rotate --wait',
        'keys rotate --lane ES256',
      ),
    )
    .addCommand(
      examples(
        action('revoke', 'remove a compromised key from the JWKS at once; the next key takes over')
          .argument('<kid>', 'key id as shown by keys list, or its beginning')
          .addOption(bitsOption('RSA key size of the new next key'))
          .action((kid: string, options: KeyOptions & Json) => revoke(context, kid, options)),
        'keys revoke 5fZk3q…',
      ),
    )
    .addCommand(
      examples(
        action('timeline', 'draw when each key is published, signs and leaves the JWKS').action(
          (options: Json) => showTimeline(context, options),
        ),
        'keys timeline',
      ),
    )
    .addCommand(simulateCommand(context))
    .addCommand(lanesCommand(context))

function list(context: Context, options: Json): Promise<void> {
  return context.withAdmin(async (admin) => {
    const { keys: rows } = (await admin.keys.find()).value
    const text = table(
      ['KID', 'ALG', 'STATE', 'PUBLISHED', 'SIGNS FROM', 'LEAVES'],
      rows.map((row) => [
        row.kid,
        row.alg,
        row.state,
        time(row.published_at),
        time(row.signs_from),
        time(row.leaves_at),
      ]),
    )
    context.print(options, rows, text)
  })
}

function status(context: Context, options: Json): Promise<void> {
  return context.withAdmin(async ({ keys }) => {
    const ring = (await keys.find()).value
    const { safe, safe_from, behind, next_rotation_at: automatic, active, next } = ring
    const lines = [
      safe
        ? 'It is safe to rotate now: no verifier can have a cached JWKS without the next key.'
        : `It is ${unsafeReason(ring)}.`,
      automatic === null
        ? 'Automatic rotation is off.'
        : `The next automatic rotation is due at ${time(automatic)} (in ${span(automatic - ring.now)}).`,
      ...ring.lanes.flatMap((lane) => [
        ...(ring.lanes.length === 1
          ? []
          : [
              `lane    ${lane.alg}, ${lane.safe ? 'safe to rotate' : unsafeReason({ ...lane, now: ring.now })}`,
            ]),
        `active  ${lane.active}`,
        `next    ${lane.next}`,
      ]),
    ]
    const value = { safe, safe_from, behind, next_automatic: automatic, active, next, lanes: ring.lanes }
    context.print(options, value, lines.join('\n'))
  })
}

interface RotateOptions extends KeyOptions, Json {
  readonly force?: boolean
  readonly wait?: boolean
  readonly lane?: AlgorithmName
}

async function rotate(context: Context, options: RotateOptions): Promise<void> {
  if (options.force && options.wait) {
    throw new UsageError(
      '--wait waits until the rotation is safe, and --force does not: give only one of them',
    )
  }
  return context.withAdmin(async (admin) => {
    const { keys } = admin
    const { lane } = options
    if (options.wait) await waitUntilSafe(context, admin, lane)
    const chosen = lane === undefined ? {} : { lane }
    const work = keys.rotate({ ...keyChoice(options), ...chosen, force: options.force === true })
    const outcome = await withProgress(context.io, () => 'generating the new key …', work).catch((error) =>
      explainUnsafe(error, admin),
    )
    const value = { ...context.changed(outcome), ...(await waitForNodes(context, admin)) }
    const rotated = value.lanes.filter(({ alg }) => lane === undefined || alg === lane)
    const lines = [
      ...rotated.flatMap(({ alg, active, next, retiring }) => [
        ...(value.lanes.length === 1 ? [] : [`lane      ${alg}`]),
        `active    ${active}`,
        `next      ${next}`,
        `retiring  ${retiring.join(' ')}`,
      ]),
      ...nodeLines(value),
    ]
    context.print(options, value, lines.join('\n'))
  })
}

/** Says how to go on. The present state is read for the time that the server has. */
async function explainUnsafe(error: unknown, { keys }: Admin): Promise<never> {
  if (!(error instanceof AdminError && error.problem === 'rotation-unsafe')) throw error
  const refused = {
    ...(await keys.find()).value,
    ...(error.fields as Pick<KeyRingView, 'safe_from' | 'behind'>),
  }
  const { safe_from, behind } = refused
  throw new CommandError(`${unsafeReason(refused)}; --wait waits until then, --force rotates anyway`, {
    safe_from,
    behind,
  })
}

/** Why a rotation is not safe, as part of a sentence. */
function unsafeReason({
  safe_from: safeAt,
  behind,
  now,
}: Pick<KeyRingView, 'safe_from' | 'behind' | 'now'>): string {
  const names = behind.join(', ')
  const has = behind.length === 1 ? 'has' : 'have'
  if (now >= safeAt) return `not safe to rotate: ${names} ${has} not fetched the next key yet`
  const until = `not safe to rotate before ${time(safeAt)} (in ${span(safeAt - now)})`
  const cached = 'until then a verifier may have a cached JWKS without the next key'
  return behind.length === 0
    ? `${until}: ${cached}`
    : `${until}: ${cached}; ${names} ${has} not fetched it yet`
}

async function waitUntilSafe(context: Context, { keys }: Admin, lane: string | undefined): Promise<void> {
  /** What the rotation waits for: one lane, or the whole ring. */
  const find = async () => {
    const { value } = await keys.find()
    return { ...value, ...value.lanes.find(({ alg }) => alg === lane) }
  }
  let ring = await find()
  const poll = async () => {
    while (!ring.safe) {
      await sleep(500)
      ring = await find()
    }
  }
  const message = () =>
    ring.safe_from > ring.now
      ? `waiting until it is safe to rotate, ${span(ring.safe_from - ring.now)} to go …`
      : `waiting for ${ring.behind.join(', ')} to fetch the next key …`
  await withProgress(context.io, message, poll())
}

function revoke(context: Context, named: string, options: KeyOptions & Json): Promise<void> {
  return context.withAdmin(async ({ keys }) => {
    const work = keys.revoke(named, keyChoice(options))
    const value = context.changed(await withProgress(context.io, () => 'generating the new key …', work))
    const lines = [
      `revoked   ${value.revoked}`,
      `active    ${value.active}`,
      `next      ${value.next}`,
      `Verifiers with a cached JWKS may accept the revoked key until ${time(value.exposed_until)}: restart the verifiers that must refuse it now.`,
      ...value.held_by.map(
        ({ name, until }) => `  ${name} still has the key cached, until ${time(until)} at the latest`,
      ),
    ]
    context.print(options, value, lines.join('\n'))
  })
}

function showTimeline(context: Context, options: Json): Promise<void> {
  return context.withAdmin(async (admin) => {
    const { now, keys, next_rotation_at: rotation, verifier_cache } = (await admin.keys.find()).value
    const text = timeline(keys, { now, until: rotation ?? now + verifier_cache }, context.io.columns)
    context.print(options, { now, keys }, text)
  })
}
