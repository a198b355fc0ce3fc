import { Command } from 'commander'
import { nextKey } from '../keys/ring.ts'
import { RETENTION } from '../store/retention.ts'
import { action, CommandError, type CommandFactory, type Context, examples } from './context.ts'
import { table, time } from './output.ts'

interface Json {
  readonly json?: boolean
}

export const verifiersCommand: CommandFactory = (context) =>
  new Command('verifiers')
    .description('the verifiers that made themselves known: see, forget')
    .addCommand(
      examples(
        action('list', 'who fetched the keys when, and whether the next key was among them').action(
          (options: Json) => list(context, options),
        ),
        'verifiers list',
      ),
    )
    .addCommand(
      examples(
        action('forget', 'do not wait for this verifier any more')
          .argument('<name>', 'as in verifiers list')
          .action((name: string, options: Json) => forget(context, name, options)),
        'verifiers forget orders',
      ),
    )

function list(context: Context, options: Json): Promise<void> {
  return context.withStore(async ({ store, clock }) => {
    const ring = await store.ring.read()
    const needed = ring ? nextKey(ring).publishedIn : 0
    const known = await store.verifiers.list(clock.now() - RETENTION.verifiers.seconds)
    const rows = known.map(({ name, instance, seenAt, ringVersion }) => ({
      name,
      instance,
      seen_at: seenAt,
      behind: ringVersion < needed,
    }))
    const text = table(
      ['NAME', 'INSTANCE', 'LAST ASKED', 'NEXT KEY'],
      rows.map((row) => [row.name, row.instance, time(row.seen_at), row.behind ? 'not yet' : 'held']),
    )
    context.print(options, rows, text)
  })
}

function forget(context: Context, name: string, options: Json): Promise<void> {
  return context.withStore(async ({ store, audit }) => {
    if (!(await store.verifiers.delete(name))) throw new CommandError(`no verifier ${name} is known`)
    audit('verifier.deleted', { actor: context.actor, target: name })
    context.print(options, { forgotten: name }, `forgot ${name}`)
  })
}
