import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import type { Keys } from '../keys/index.ts'
import { behind, namesOf } from '../keys/known-verifiers.ts'
import * as law from '../keys/ring.ts'
import { ensureRing, KeyNotFound, RotationUnsafe, revokeKey, rotateRing } from '../keys/rotate.ts'
import type { Base } from '../node/base.ts'
import type { Ring } from '../store/contracts/ring.ts'
import type { EpochSeconds } from '../system.ts'
import { action, CommandError, type CommandFactory, type Context, examples, type Json } from './context.ts'
import { bitsOption, type KeyOptions, keyChoice } from './key-options.ts'
import { timeline } from './keys-timeline.ts'
import { describeNode, settled } from './nodes.ts'
import { span, table, time } from './output.ts'
import { withProgress } from './progress.ts'

export const keysCommand: CommandFactory = (context) =>
  new Command('keys')
    .description('show, rotate and revoke the signing keys')
    .addCommand(
      examples(
        action('list', 'all keys of the ring and what they are doing').action((options: Json) =>
          list(context, options),
        ),
        'keys list',
        'keys list --json',
      ),
    )
    .addCommand(
      examples(
        action('status', 'whether it is safe to rotate now, and when the next rotation is due').action(
          (options: Json) => status(context, options),
        ),
        'keys status',
      ),
    )
    .addCommand(
      examples(
        action('rotate', 'the next key starts to sign, a new next key is published')
          .option('--force', 'even if a verifier may not hold the next key yet')
          .option('--wait', 'wait until it is safe')
          .addOption(bitsOption('size of the new next key'))
          .action((options: RotateOptions) => rotate(context, options)),
        'keys rotate',
        'keys rotate --wait',
      ),
    )
    .addCommand(
      examples(
        action('revoke', 'a compromised key leaves the JWKS at once; the next key takes over')
          .argument('<kid>', 'as in keys list')
          .addOption(bitsOption('size of the new next key'))
          .action((kid: string, options: KeyOptions & Json) => revoke(context, kid, options)),
        'keys revoke 5fZk3q…',
      ),
    )
    .addCommand(
      examples(
        action('timeline', 'when each key was published, signed and leaves').action((options: Json) =>
          showTimeline(context, options),
        ),
        'keys timeline',
      ),
    )

function describe(ring: Ring) {
  return [...ring.keys]
    .sort((a, b) => b.publishedAt - a.publishedAt)
    .map((key) => ({
      kid: key.kid,
      alg: key.alg,
      state: key.state,
      created_at: key.createdAt,
      published_at: key.publishedAt,
      signs_from: key.signsFrom,
      leaves_at: law.leavesAt(key),
    }))
}

function list(context: Context, options: Json): Promise<void> {
  return context.withKeys(async (_base, keys) => {
    const rows = describe(await ensureRing(keys))
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
  return context.withKeys(async (base, keys) => {
    const ring = await ensureRing(keys)
    const now = base.clock.now()
    const automatic = law.automaticRotationAt(ring, keys.policy)
    const late = namesOf(await behind(base.store.verifiers, ring, now))
    const value = {
      safe: late.length === 0 && law.isSafe(ring, now, keys.policy),
      safe_from: law.safeFrom(ring, keys.policy),
      behind: late,
      next_automatic: automatic,
      active: law.activeKey(ring).kid,
      next: law.nextKey(ring).kid,
    }
    const lines = [
      value.safe
        ? 'It is safe to rotate now: no verifier can hold a JWKS without the next key.'
        : `It is ${unsafe(value.safe_from, late, now)}.`,
      automatic === null
        ? 'Automatic rotation is off.'
        : `The next automatic rotation is due at ${time(automatic)} (in ${span(automatic - now)}).`,
      `active  ${value.active}`,
      `next    ${value.next}`,
    ]
    context.print(options, value, lines.join('\n'))
  })
}

interface RotateOptions extends KeyOptions, Json {
  readonly force?: boolean
  readonly wait?: boolean
}

function rotate(context: Context, options: RotateOptions): Promise<void> {
  return context.withKeys(async (base, keys) => {
    if (options.wait) await untilSafe(context, base, keys)
    try {
      const choice = { ...keyChoice(options), force: options.force === true, actor: context.actor }
      const ring = await withProgress(context.io, () => 'generating the new key …', rotateRing(keys, choice))
      const value = {
        active: law.activeKey(ring).kid,
        next: law.nextKey(ring).kid,
        retiring: ring.keys.filter((key) => key.state === 'retiring').map((key) => key.kid),
        ...(await switched(context, base, ring)),
      }
      const lines = [
        `active    ${value.active}`,
        `next      ${value.next}`,
        `retiring  ${value.retiring.join(' ')}`,
        ...nodeLines(value),
      ]
      context.print(options, value, lines.join('\n'))
    } catch (error) {
      if (!(error instanceof RotationUnsafe)) throw error
      const why = unsafe(error.safeFrom, error.behind, base.clock.now())
      throw new CommandError(`${why}; --wait waits, --force goes ahead`, {
        safe_from: error.safeFrom,
        behind: error.behind,
      })
    }
  })
}

/** Which of the serving nodes sign with the new key. */
async function switched(context: Context, base: Base, ring: Ring) {
  const work = settled(base, ring)
  const { serving, behind: late } = await withProgress(context.io, () => 'waiting for the nodes …', work)
  return { nodes: serving.length, nodes_behind: late.map(describeNode) }
}

function nodeLines({ nodes, nodes_behind: late }: Awaited<ReturnType<typeof switched>>): string[] {
  if (nodes === 0) return []
  if (late.length === 0)
    return [`nodes     ${nodes === 1 ? 'the one there is has' : `all ${nodes} have`} switched`]
  const names = late.map(({ hostname, pid }) => `${hostname}:${pid}`).join(', ')
  return [
    `nodes     ${nodes - late.length} of ${nodes} have switched; not yet: ${names}`,
    'A node that does not follow signs with the old key for 10 s at most, and then not at all.',
  ]
}

/** Why not, in words. */
function unsafe(safeFrom: EpochSeconds, late: readonly string[], now: EpochSeconds): string {
  const names = late.join(', ')
  if (now >= safeFrom) return `not safe to rotate: the next key was not fetched yet by ${names}`
  const until = `not safe to rotate before ${time(safeFrom)} (in ${span(safeFrom - now)})`
  const cached = 'until then a verifier may have a JWKS without the next key'
  return late.length === 0 ? `${until}: ${cached}` : `${until}: ${cached}; it was not fetched yet by ${names}`
}

async function untilSafe(context: Context, base: Base, keys: Keys): Promise<void> {
  const look = async () => {
    const ring = await ensureRing(keys)
    const now = base.clock.now()
    const late = namesOf(await behind(base.store.verifiers, ring, now))
    return { seconds: Math.max(0, law.safeFrom(ring, keys.policy) - now), late }
  }
  let left = await look()
  const waiting = async () => {
    while (left.seconds > 0 || left.late.length > 0) {
      await sleep(500)
      left = await look()
    }
  }
  const what = () =>
    left.seconds > 0
      ? `waiting until it is safe to rotate, ${span(left.seconds)} to go …`
      : `waiting for ${left.late.join(', ')} to fetch the next key …`
  await withProgress(context.io, what, waiting())
}

function revoke(context: Context, kid: string, options: KeyOptions & Json): Promise<void> {
  return context.withKeys(async (base, keys) => {
    const choice = { ...keyChoice(options), actor: context.actor }
    try {
      const work = revokeKey(keys, kid, choice)
      const ring = await withProgress(context.io, () => 'generating the new key …', work)
      const value = {
        revoked: kid,
        active: law.activeKey(ring).kid,
        next: law.nextKey(ring).kid,
        exposed_until: base.clock.now() + keys.policy.verifierCache,
        held_by: await holders(base, keys, ring, kid),
      }
      const lines = [
        `revoked   ${kid}`,
        `active    ${value.active}`,
        `next      ${value.next}`,
        `Verifiers that cached the JWKS may accept the revoked key until ${time(value.exposed_until)}: restart those that matter.`,
        ...value.held_by.map(
          ({ name, until }) => `  ${name} still holds it, until ${time(until)} at the latest`,
        ),
      ]
      context.print(options, value, lines.join('\n'))
    } catch (error) {
      if (error instanceof KeyNotFound) throw new CommandError(error.message)
      throw error
    }
  })
}

/** Known verifiers that were last given a ring from before the revocation, and until when they may go by it. */
async function holders(base: Base, keys: Keys, ring: Ring, kid: string) {
  const known = await base.store.verifiers.list(base.clock.now() - keys.policy.verifierCache)
  const publishedIn = ring.keys.find((key) => key.kid === kid)?.publishedIn ?? 0
  return known
    .filter(({ ringVersion }) => ringVersion >= publishedIn && ringVersion < ring.version)
    .map(({ name, instance, seenAt }) => ({ name, instance, until: seenAt + keys.policy.verifierCache }))
}

function showTimeline(context: Context, options: Json): Promise<void> {
  return context.withKeys(async (base, keys) => {
    const ring = await ensureRing(keys)
    const now = base.clock.now()
    context.print(
      options,
      { now, keys: describe(ring) },
      timeline(ring, now, keys.policy, context.io.columns),
    )
  })
}
