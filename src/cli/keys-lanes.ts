/** `keys lanes`: the algorithms that the ring signs with. */
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { AdminError } from '../admin/errors.ts'
import type { KeyRingView, LanesView } from '../admin/keys.schema.ts'
import { ALGORITHM_NAMES, type AlgorithmName, algorithmNamed } from '../algorithm-names.ts'
import { action, CommandError, type Context, examples, type Json } from './context.ts'
import { bitsOption, type KeyOptions, keyChoice } from './key-options.ts'
import { waitForNodes } from './keys-nodes.ts'
import { span, table, time } from './output.ts'
import { withProgress } from './progress.ts'

export const lanesCommand = (context: Context): Command =>
  new Command('lanes')
    .description('show and change the algorithms that the ring signs with')
    .addCommand(
      examples(
        action('list', 'list the lanes, the default one first').action((options: Json) =>
          list(context, options),
        ),
        'keys lanes list',
        'keys lanes list --json',
      ),
      { isDefault: true },
    )
    .addCommand(
      examples(
        action('add', 'publish the keys of another algorithm')
          .addArgument(algorithmArgument())
          .addOption(bitsOption('RSA key size'))
          .action((alg: AlgorithmName, options: KeyOptions & Json) => add(context, alg, options)),
        'keys lanes add ES256',
      ),
    )
    .addCommand(
      examples(
        action('default', 'sign with this algorithm what names no other')
          .addArgument(algorithmArgument())
          .action((alg: AlgorithmName, options: Json) => setDefault(context, alg, options)),
        'keys lanes default ES256',
      ),
    )
    .addCommand(
      examples(
        action('remove', 'stop signing with an algorithm that nothing uses')
          .addArgument(algorithmArgument())
          .action((alg: AlgorithmName, options: Json) => remove(context, alg, options)),
        'keys lanes remove RS256',
      ),
    )

const algorithmArgument = (): Argument =>
  new Argument('<alg>', ALGORITHM_NAMES.join(', ')).argParser(parseAlgorithm)

/** A lane by its algorithm. */
export const laneOption = (description: string): Option =>
  new Option('--lane <alg>', description).argParser(parseAlgorithm)

function parseAlgorithm(text: string): AlgorithmName {
  const alg = algorithmNamed(text)
  if (alg === undefined) throw new InvalidArgumentError(`must be one of ${ALGORITHM_NAMES.join(', ')}`)
  return alg
}

function list(context: Context, options: Json): Promise<void> {
  return context.withAdmin(async ({ keys }) => {
    const ring = (await keys.find()).value
    const value = {
      default: ring.default,
      active: ring.active,
      next: ring.next,
      retiring: ring.lanes[0]?.retiring ?? [],
      lanes: ring.lanes,
    }
    context.print(options, value, lanesTable(ring))
  })
}

const lanesTable = ({ lanes, default: first, now }: KeyRingView): string =>
  table(
    ['LANE', 'ACTIVE', 'NEXT', 'MAY BE USED', 'MAY ROTATE', 'NEXT ROTATION'],
    lanes.map((lane) => [
      lane.alg === first ? `${lane.alg} (default)` : lane.alg,
      lane.active,
      lane.next,
      lane.usable_from <= now ? 'now' : time(lane.usable_from),
      lane.safe ? 'now' : time(lane.safe_from),
      time(lane.next_rotation_at),
    ]),
  )

function add(context: Context, alg: AlgorithmName, options: KeyOptions & Json): Promise<void> {
  return context.withAdmin(async (admin) => {
    const work = admin.keys.addLane({ alg, ...keyChoice(options) })
    const outcome = await withProgress(context.io, () => 'generating the keys …', work)
    const value = { ...context.changed(outcome), ...(await waitForNodes(context, admin)) }
    context.print(options, value, changedText(value))
  })
}

function setDefault(context: Context, alg: AlgorithmName, options: Json): Promise<void> {
  return context.withAdmin(async (admin) => {
    const outcome = await admin.keys
      .setDefaultLane(alg)
      .catch((error) => explainUnsafe(error, alg, admin.keys))
    const value = { ...context.changed(outcome), ...(await waitForNodes(context, admin)) }
    context.print(options, value, changedText(value))
  })
}

function remove(context: Context, alg: AlgorithmName, options: Json): Promise<void> {
  return context.withAdmin(async (admin) => {
    const outcome = await admin.keys.removeLane(alg)
    const value = { ...context.changed(outcome), ...(await waitForNodes(context, admin)) }
    context.print(options, value, changedText(value))
  })
}

const changedText = ({ lanes, default: first }: LanesView): string =>
  lanes
    .map(({ alg, active, next }) =>
      [
        `lane      ${alg}${alg === first ? ' (default)' : ''}`,
        `active    ${active}`,
        `next      ${next}`,
      ].join('\n'),
    )
    .join('\n')

/** Says how long to wait. The present time is read from the server. */
async function explainUnsafe(
  error: unknown,
  alg: string,
  keys: { find(): Promise<{ readonly value: KeyRingView }> },
): Promise<never> {
  if (!(error instanceof AdminError && error.problem === 'lane-unsafe')) throw error
  const { safe_from, behind } = error.fields as { safe_from: number; behind: string[] }
  const { now } = (await keys.find()).value
  const has = behind.length === 1 ? 'has' : 'have'
  const reasons = [
    ...(safe_from > now
      ? [`before ${time(safe_from)} (in ${span(safe_from - now)}) a verifier may not have its key`]
      : []),
    ...(behind.length > 0 ? [`${behind.join(', ')} ${has} not fetched its key yet`] : []),
  ]
  throw new CommandError(`not safe to sign with ${alg}: ${reasons.join('; ')}`, { safe_from, behind })
}
