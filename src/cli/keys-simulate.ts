/** `keys simulate`: shows as a time line what would be published, and which verifiers would fail. Changes nothing. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Field, fields } from '../config/fields.ts'
import { durationText } from '../config/parsers.ts'
import type { Keys } from '../keys/index.ts'
import { behindAmong, namesOf } from '../keys/known-verifiers.ts'
import { EXPIRY_MARGIN } from '../keys/live-ring.ts'
import { type RingPolicy, safeFrom } from '../keys/ring.ts'
import { ensureRing, KeyNotFound } from '../keys/rotate.ts'
import { type Moment, type SimulatedAction, type Simulation, simulate } from '../keys/simulate.ts'
import { type Affected, withCache } from '../keys/simulated-verifiers.ts'
import type { Base } from '../node/base.ts'
import { statusListLifetime } from '../status/status-list-signer.ts'
import type { ListedVerifier } from '../store/contracts/verifiers.ts'
import { RETENTION } from '../store/retention.ts'
import type { EpochSeconds, Seconds } from '../system.ts'
import {
  AlreadyReported,
  action,
  CommandError,
  type Context,
  collect,
  examples,
  type Json,
  UsageError,
} from './context.ts'
import { shortKid, timeline } from './keys-timeline.ts'
import { wholeKid } from './kid.ts'
import { span, table, time } from './output.ts'

interface Options extends Json {
  readonly rotate?: boolean
  readonly revoke?: readonly string[]
  readonly force?: boolean
  readonly every?: Seconds | null
  readonly verifierCache?: Seconds
  readonly jwksMaxAge?: Seconds
}

/** Requested by an option, in the order of the command line. */
type Step = { readonly do: 'rotate' } | { readonly do: 'revoke'; readonly named: string }

export function simulateCommand(context: Context): Command {
  const steps: Step[] = []
  const command = action(
    'simulate',
    'show what would happen, and which verifiers would fail; changes nothing',
  )
    .option('--rotate', 'rotate, as soon as it is safe')
    .option('--revoke <kid>', 'revoke this key now; repeatable', collect)
    .option('--force', 'do not wait until the rotation is safe')
    .addOption(settingOption('--every <duration>', fields.keyRotation, 'rotate automatically at this age'))
    .addOption(settingOption('--verifier-cache <duration>', fields.verifierCache, 'with this setting'))
    .addOption(settingOption('--jwks-max-age <duration>', fields.jwksMaxAge, 'with this setting'))
    .on('option:rotate', () => steps.push({ do: 'rotate' }))
    .on('option:revoke', (named: string) => steps.push({ do: 'revoke', named }))
    .action((options: Options) => show(context, options, steps))
  return examples(
    command,
    'keys simulate --rotate',
    'keys simulate --revoke 5fZk3q…',
    'keys simulate --every 7d --verifier-cache 1h',
  )
}

/** An option with the values of a setting. */
function settingOption<T>(flags: string, { name, parse }: Field<T>, description: string): Option {
  return new Option(flags, `${description}, instead of KEYTURN_${name}`).argParser((value) => {
    try {
      return parse(value)
    } catch (error) {
      throw new InvalidArgumentError(`It ${(error as Error).message}.`)
    }
  })
}

/** How many automatic rotations are shown: the next one, or enough to see a rhythm that was asked for. */
const AUTOMATIC = 1
const AUTOMATIC_WITH_EVERY = 3

function show(context: Context, options: Options, steps: readonly Step[]): Promise<void> {
  if (options.force && !options.rotate) throw new UsageError('--force is about --rotate, which is missing')
  return context.withKeys(async (base, keys) => {
    const ring = await ensureRing(keys)
    const now = base.clock.now()
    const policy: RingPolicy = {
      verifierCache: options.verifierCache ?? keys.policy.verifierCache,
      keyRotation: options.every === undefined ? keys.policy.keyRotation : options.every,
      jwksMaxAge: options.jwksMaxAge ?? keys.policy.jwksMaxAge,
    }
    const seen = await base.store.verifiers.list(now - RETENTION.verifiers.seconds)
    const actions = steps.map(
      (step): SimulatedAction =>
        step.do === 'rotate'
          ? { do: 'rotate', force: options.force === true }
          : { do: 'revoke', kid: wholeKid(ring, step.named) },
    )
    const scenario = {
      ring,
      policy,
      known: seen,
      actions,
      tokenLifetime: await tokenLifetime(base),
      automatic: options.every === undefined ? AUTOMATIC : AUTOMATIC_WITH_EVERY,
      now,
    }
    const simulation = rehearse(() => simulate(scenario))
    const warnings = warningsOf(policy, keys, seen, now)
    const value = {
      now,
      ok: simulation.failing.length === 0,
      safe_from: safeFrom(ring, policy),
      behind: namesOf(behindAmong(withCache(seen, now, policy.verifierCache), ring)),
      verifier_cache: policy.verifierCache,
      key_rotation: policy.keyRotation,
      jwks_max_age: policy.jwksMaxAge,
      moments: simulation.moments.map(describeMoment),
      failing: simulation.failing.map(describeAffected),
      accepting_revoked: simulation.exposed.map(describeAffected),
      tokens_refused: simulation.revokedTokens,
      warnings,
      until: simulation.until,
    }
    const lines = [
      timeline(simulation.ring, now, policy, context.io.columns),
      table(['TIME', 'EVENT', 'IN THE JWKS, [SIGNS]'], simulation.moments.map(row)),
      ...(simulation.ring.keys.length > ring.keys.length ? ['A key named new-… does not exist yet.'] : []),
      ...conclusion(simulation),
    ]
    context.print(options, value, lines.join('\n'))
    for (const warning of warnings) context.note(warning)
    if (!value.ok) throw new AlreadyReported()
  })
}

function rehearse(work: () => Simulation): Simulation {
  try {
    return work()
  } catch (error) {
    if (error instanceof KeyNotFound) throw new CommandError(error.message)
    throw error
  }
}

/** How far `tokensUntil` of a key may be ahead: the longest lifetime of anything that is signed, and the margin of a node. */
async function tokenLifetime({ store, config }: Base): Promise<Seconds> {
  const [apis, clients] = await Promise.all([store.apis.list(), store.clients.list()])
  const own = [...apis, ...clients].map(({ accessTokenTtl }) => accessTokenTtl ?? 0)
  return EXPIRY_MARGIN + Math.max(config.accessTokenTtl, statusListLifetime(config.statusTtl), ...own)
}

/** What contradicts the assumption that no verifier uses a JWKS for longer than `verifierCache`. */
function warningsOf(
  policy: RingPolicy,
  keys: Keys,
  seen: readonly ListedVerifier[],
  now: EpochSeconds,
): string[] {
  const cache = durationText(policy.verifierCache)
  const quiet = withCache(seen, now, keys.policy.verifierCache).filter(
    ({ seenAt }) => seenAt < now - policy.verifierCache,
  )
  return [
    ...(policy.jwksMaxAge > policy.verifierCache
      ? [
          `caches that follow Cache-Control may keep a JWKS for ${durationText(policy.jwksMaxAge)}, which is longer than ${cache}`,
        ]
      : []),
    ...quiet.map(
      ({ name, seenAt }) =>
        `${name} last fetched the JWKS ${span(now - seenAt)} ago: unless it is switched off, it keeps a JWKS for longer than ${cache}`,
    ),
  ]
}

const describeAffected = ({ verifier, ...others }: Affected) => ({
  verifier: verifier?.name ?? null,
  instance: verifier?.instance ?? null,
  ...others,
})

function describeMoment({ cacheControl, failing, exposed, at, event, ...others }: Moment) {
  return {
    at,
    event,
    ...others,
    cache_control: cacheControl,
    failing: failing.map(describeAffected),
    accepting_revoked: exposed.map(describeAffected),
  }
}

const row = (moment: Moment): string[] => [
  time(moment.at),
  `${sentence(moment)}${moment.failing.length > 0 ? '; verifiers fail' : ''}`,
  moment.published.map((kid) => (kid === moment.active ? `[${shortKid(kid)}]` : shortKid(kid))).join(' '),
]

function sentence(moment: Moment): string {
  switch (moment.event) {
    case 'start':
      return `now: ${shortKid(moment.active)} signs`
    case 'rotation_waits': {
      const names = moment.behind.length === 0 ? '' : `, for ${moment.behind.join(', ')}`
      return `the rotation waits until ${time(moment.until)}${names}`
    }
    case 'rotated':
      return `${shortKid(moment.kid)} signs (${moment.reason === 'automatic' ? 'automatic rotation' : moment.reason})`
    case 'revoked':
      return `${shortKid(moment.kid)} is revoked; ${shortKid(moment.active)} signs`
    case 'retired':
      return `${shortKid(moment.kid)} leaves the JWKS`
    case 'accepted_everywhere':
      return `all verifiers accept tokens of ${shortKid(moment.kid)}`
    case 'exposure_ended':
      return `no verifier accepts ${shortKid(moment.kid)} any more`
  }
}

/** What follows for verifiers: the one thing that must not happen, and the two that a revocation causes by design. */
function conclusion({ failing, exposed, revokedTokens }: Simulation): string[] {
  const failures = grouped(failing)
  return [
    ...(failures.length === 0
      ? ['No verifier would refuse a good token.']
      : failures.map(
          ([who, kid, until]) => `${who} would refuse good tokens of ${shortKid(kid)} until ${time(until)}.`,
        )),
    ...revokedTokens.map(
      ({ kid, until }) =>
        `Tokens of ${shortKid(kid)}, which is revoked, are refused as they must be; the last expires at ${time(until)}.`,
    ),
    ...grouped(exposed).map(
      ([who, kid, until]) =>
        `${who} may still accept ${shortKid(kid)}, which is revoked, until ${time(until)}.`,
    ),
  ]
}

/** One line for all processes of a verifier. */
function grouped(
  affected: readonly Affected[],
): (readonly [who: string, kid: string, until: EpochSeconds])[] {
  const lines = new Map<string, readonly [string, string, EpochSeconds]>()
  for (const { verifier, kid, until } of affected) {
    const who = verifier?.name ?? 'Any verifier with an older JWKS'
    const latest = Math.max(until, lines.get(`${who} ${kid}`)?.[2] ?? 0)
    lines.set(`${who} ${kid}`, [who, kid, latest])
  }
  return [...lines.values()]
}
