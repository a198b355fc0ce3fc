import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import type { Keys } from '../keys/index.ts'
import { behind, holdersAmong, namesOf } from '../keys/known-verifiers.ts'
import { activeKey, automaticRotationAt, isSafe, leavesAt, nextKey, safeFrom } from '../keys/ring.ts'
import { ensureRing, KeyNotFound, RotationUnsafe, revokeKey, rotateRing } from '../keys/rotate.ts'
import type { Base } from '../node/base.ts'
import { nodeName } from '../node/heartbeat.ts'
import type { Ring } from '../store/contracts/ring.ts'
import type { EpochSeconds } from '../system.ts'
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
import { simulateCommand } from './keys-simulate.ts'
import { timeline } from './keys-timeline.ts'
import { wholeKid } from './kid.ts'
import { describeNode, waitForRing } from './nodes.ts'
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
          .action((options: RotateOptions) => rotate(context, options)),
        'keys rotate',
        'keys rotate --wait',
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
      leaves_at: leavesAt(key),
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
    const automatic = automaticRotationAt(ring, keys.policy)
    const notFetched = namesOf(await behind(base.store.verifiers, ring, now, keys.policy.verifierCache))
    const value = {
      safe: notFetched.length === 0 && isSafe(ring, now, keys.policy),
      safe_from: safeFrom(ring, keys.policy),
      behind: notFetched,
      next_automatic: automatic,
      active: activeKey(ring).kid,
      next: nextKey(ring).kid,
    }
    const lines = [
      value.safe
        ? 'It is safe to rotate now: no verifier can have a cached JWKS without the next key.'
        : `It is ${unsafeReason(value.safe_from, notFetched, now)}.`,
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

async function rotate(context: Context, options: RotateOptions): Promise<void> {
  if (options.force && options.wait) {
    throw new UsageError(
      '--wait waits until the rotation is safe, and --force does not: give only one of them',
    )
  }
  return context.withKeys(async (base, keys) => {
    if (options.wait) await waitUntilSafe(context, base, keys)
    try {
      const choice = { ...keyChoice(options), force: options.force === true, actor: context.actor }
      const ring = await withProgress(context.io, () => 'generating the new key …', rotateRing(keys, choice))
      const value = {
        active: activeKey(ring).kid,
        next: nextKey(ring).kid,
        retiring: ring.keys.filter((key) => key.state === 'retiring').map((key) => key.kid),
        ...(await waitForNodes(context, base, ring)),
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
      const reason = unsafeReason(error.safeFrom, error.behind, base.clock.now())
      throw new CommandError(`${reason}; --wait waits until then, --force rotates anyway`, {
        safe_from: error.safeFrom,
        behind: error.behind,
      })
    }
  })
}

/** Waits for the serving nodes to sign with the new key; returns those that do not. */
async function waitForNodes(context: Context, base: Base, ring: Ring) {
  const work = waitForRing(base, ring)
  const { serving, behind: nodesBehind } = await withProgress(
    context.io,
    () => 'waiting for the nodes …',
    work,
  )
  return { nodes: serving.length, nodes_behind: nodesBehind.map(describeNode) }
}

function nodeLines({ nodes, nodes_behind: nodesBehind }: Awaited<ReturnType<typeof waitForNodes>>): string[] {
  if (nodes === 0) return []
  if (nodesBehind.length === 0)
    return [`nodes     ${nodes === 1 ? 'the only node has' : `all ${nodes} have`} switched`]
  const names = nodesBehind.map(nodeName).join(', ')
  return [
    `nodes     ${nodes - nodesBehind.length} of ${nodes} have switched; not yet: ${names}`,
    'A node that does not switch signs with the old key for at most 10 s, and then stops signing.',
  ]
}

/** Why a rotation is not safe, as part of a sentence. */
function unsafeReason(safeAt: EpochSeconds, notFetched: readonly string[], now: EpochSeconds): string {
  const names = notFetched.join(', ')
  const has = notFetched.length === 1 ? 'has' : 'have'
  if (now >= safeAt) return `not safe to rotate: ${names} ${has} not fetched the next key yet`
  const until = `not safe to rotate before ${time(safeAt)} (in ${span(safeAt - now)})`
  const cached = 'until then a verifier may have a cached JWKS without the next key'
  return notFetched.length === 0
    ? `${until}: ${cached}`
    : `${until}: ${cached}; ${names} ${has} not fetched it yet`
}

async function waitUntilSafe(context: Context, base: Base, keys: Keys): Promise<void> {
  const check = async () => {
    const ring = await ensureRing(keys)
    const now = base.clock.now()
    const notFetched = namesOf(await behind(base.store.verifiers, ring, now, keys.policy.verifierCache))
    return { seconds: Math.max(0, safeFrom(ring, keys.policy) - now), notFetched }
  }
  let remaining = await check()
  const poll = async () => {
    while (remaining.seconds > 0 || remaining.notFetched.length > 0) {
      await sleep(500)
      remaining = await check()
    }
  }
  const message = () =>
    remaining.seconds > 0
      ? `waiting until it is safe to rotate, ${span(remaining.seconds)} to go …`
      : `waiting for ${remaining.notFetched.join(', ')} to fetch the next key …`
  await withProgress(context.io, message, poll())
}

function revoke(context: Context, named: string, options: KeyOptions & Json): Promise<void> {
  return context.withKeys(async (base, keys) => {
    const kid = wholeKid(await ensureRing(keys), named)
    const choice = { ...keyChoice(options), actor: context.actor }
    try {
      const work = revokeKey(keys, kid, choice)
      const ring = await withProgress(context.io, () => 'generating the new key …', work)
      const value = {
        revoked: kid,
        active: activeKey(ring).kid,
        next: nextKey(ring).kid,
        exposed_until: base.clock.now() + keys.policy.verifierCache,
        held_by: await verifiersWithKey(base, keys, ring, kid),
      }
      const lines = [
        `revoked   ${kid}`,
        `active    ${value.active}`,
        `next      ${value.next}`,
        `Verifiers with a cached JWKS may accept the revoked key until ${time(value.exposed_until)}: restart the verifiers that must refuse it now.`,
        ...value.held_by.map(
          ({ name, until }) => `  ${name} still has the key cached, until ${time(until)} at the latest`,
        ),
      ]
      context.print(options, value, lines.join('\n'))
    } catch (error) {
      if (error instanceof KeyNotFound) throw new CommandError(error.message)
      throw error
    }
  })
}

/** Known verifiers whose last JWKS is from before the revocation, and until when they may use it. */
async function verifiersWithKey(base: Base, keys: Keys, ring: Ring, kid: string) {
  const known = await base.store.verifiers.list(base.clock.now() - keys.policy.verifierCache)
  return holdersAmong(known, ring, kid).map(({ name, instance, seenAt }) => ({
    name,
    instance,
    until: seenAt + keys.policy.verifierCache,
  }))
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
