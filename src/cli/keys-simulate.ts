/** `keys simulate`: shows as a timeline what would be published, and which verifiers would fail. Changes nothing. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { AffectedView, MomentView, SimulationView } from '../admin/keys.schema.ts'
import type { AlgorithmName } from '../algorithm-names.ts'
import { type Field, fields } from '../config/fields.ts'
import type { EpochSeconds, Seconds } from '../system.ts'
import { AlreadyReported, action, type Context, collect, examples, type Json, UsageError } from './context.ts'
import { laneOption } from './keys-lanes.ts'
import { shortKid, timeline } from './keys-timeline.ts'
import { table, time } from './output.ts'

interface Options extends Json {
  readonly rotate?: boolean
  readonly revoke?: readonly string[]
  readonly force?: boolean
  readonly lane?: AlgorithmName
  readonly every?: Seconds | null
  readonly verifierCache?: Seconds
  readonly jwksMaxAge?: Seconds
}

/** Requested by an option, in the order of the command line. */
type Step = { readonly action: 'rotate' } | { readonly action: 'revoke'; readonly kid: string }

export function simulateCommand(context: Context): Command {
  const steps: Step[] = []
  const command = action(
    'simulate',
    'show what a change would do to the ring, and which verifiers would fail; changes nothing',
  )
    .option('--rotate', 'rotate, as soon as it is safe')
    .option('--revoke <kid>', 'revoke this key now; repeatable', collect)
    .addOption(laneOption('rotate only the lane of this algorithm; by default all lanes'))
    .option('--force', 'do not wait until the rotation is safe')
    .addOption(
      settingOption(
        '--every <duration>',
        fields.keyRotation,
        'rotate automatically when the active key has this age',
      ),
    )
    .addOption(settingOption('--verifier-cache <duration>', fields.verifierCache, 'assume this time'))
    .addOption(settingOption('--jwks-max-age <duration>', fields.jwksMaxAge, 'assume this time'))
    .on('option:rotate', () => steps.push({ action: 'rotate' }))
    .on('option:revoke', (kid: string) => steps.push({ action: 'revoke', kid }))
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

function show(context: Context, options: Options, steps: readonly Step[]): Promise<void> {
  if (options.force && !options.rotate) throw new UsageError('--force needs --rotate')
  if (options.lane && !options.rotate) throw new UsageError('--lane needs --rotate')
  const force = options.force === true
  const lane = options.lane === undefined ? {} : { lane: options.lane }
  return context.withAdmin(async ({ keys }) => {
    const { value } = await keys.simulate({
      actions: steps.map((step) => (step.action === 'rotate' ? { ...step, ...lane, force } : step)),
      ...(options.every === undefined ? {} : { key_rotation: options.every }),
      ...(options.verifierCache === undefined ? {} : { verifier_cache: options.verifierCache }),
      ...(options.jwksMaxAge === undefined ? {} : { jwks_max_age: options.jwksMaxAge }),
    })
    const text = [
      timeline(value.keys, value, context.io.columns),
      table(['TIME', 'EVENT', 'IN THE JWKS, [SIGNS]'], value.moments.map(row)),
      ...(value.keys.some(({ kid }) => kid.startsWith('new-'))
        ? ['A key named new-… does not exist yet.']
        : []),
      ...conclusion(value),
    ]
    context.print(options, value, text.join('\n'))
    for (const warning of value.warnings) context.note(warning)
    if (!value.ok) throw new AlreadyReported()
  })
}

const row = (moment: MomentView): string[] => [
  time(moment.at),
  `${sentence(moment)}${moment.failing.length > 0 ? '; verifiers fail' : ''}`,
  moment.published
    .map((kid) => (moment.signing.includes(kid) ? `[${shortKid(kid)}]` : shortKid(kid)))
    .join(' '),
]

const sign = (kids: readonly string[]): string =>
  `${kids.map(shortKid).join(' and ')} ${kids.length === 1 ? 'signs' : 'sign'}`

function sentence({ event, kid = '', signing, reason, until, behind = [] }: MomentView): string {
  switch (event) {
    case 'start':
      return `now: ${sign(signing)}`
    case 'rotation_waits': {
      const names = behind.length === 0 ? '' : `, for ${behind.join(', ')}`
      return `the rotation waits until ${time(until ?? null)}${names}`
    }
    case 'rotated':
      return `${shortKid(kid)} signs (${reason === 'automatic' ? 'automatic rotation' : reason})`
    case 'revoked':
      return `${shortKid(kid)} is revoked; ${sign(signing)}`
    case 'retired':
      return `${shortKid(kid)} leaves the JWKS`
    case 'accepted_everywhere':
      return `all verifiers accept tokens of ${shortKid(kid)}`
    case 'exposure_ended':
      return `no verifier accepts ${shortKid(kid)} any more`
  }
}

/** What follows for verifiers: the one thing that must not happen, and the two that a revocation causes by design. */
function conclusion(simulation: SimulationView): string[] {
  const failures = grouped(simulation.failing)
  return [
    ...(failures.length === 0
      ? ['No verifier would refuse a good token.']
      : failures.map(
          ([who, kid, until]) => `${who} would refuse good tokens of ${shortKid(kid)} until ${time(until)}.`,
        )),
    ...simulation.tokens_refused.map(
      ({ kid, until }) =>
        `Tokens of ${shortKid(kid)}, which is revoked, are refused as they must be; the last expires at ${time(until)}.`,
    ),
    ...grouped(simulation.accepting_revoked).map(
      ([who, kid, until]) =>
        `${who} may still accept ${shortKid(kid)}, which is revoked, until ${time(until)}.`,
    ),
  ]
}

/** One line for all processes of a verifier. */
function grouped(
  affected: readonly AffectedView[],
): (readonly [who: string, kid: string, until: EpochSeconds])[] {
  const lines = new Map<string, readonly [string, string, EpochSeconds]>()
  for (const { verifier, kid, until } of affected) {
    const who = verifier ?? 'Any verifier with an older JWKS'
    const latest = Math.max(until, lines.get(`${who} ${kid}`)?.[2] ?? 0)
    lines.set(`${who} ${kid}`, [who, kid, latest])
  }
  return [...lines.values()]
}
