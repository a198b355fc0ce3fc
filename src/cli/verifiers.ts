import { Command } from 'commander'
import { nextKey } from '../keys/ring.ts'
import { RETENTION } from '../store/retention.ts'
import { action, CommandError, type CommandFactory, type Context, examples, type Json } from './context.ts'
import { table, time } from './output.ts'

export const verifiersCommand: CommandFactory = (context) =>
  new Command('verifiers')
    .description('list and forget the verifiers that have identified themselves')
    .addCommand(
      examples(
        action(
          'list',
          'list known verifiers, when they last fetched the JWKS, and whether they have the next key',
        ).action((options: Json) => list(context, options)),
        'verifiers list',
      ),
    )
    .addCommand(
      examples(
        action('forget', 'stop waiting for this verifier before rotations')
          .argument('<name>', 'name, as shown by verifiers list')
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
      ['NAME', 'INSTANCE', 'LAST FETCH', 'NEXT KEY'],
      rows.map((row) => [row.name, row.instance, time(row.seen_at), row.behind ? 'not fetched' : 'fetched']),
    )
    context.print(options, rows, text)
  })
}

function forget(context: Context, name: string, options: Json): Promise<void> {
  return context.withStore(async ({ store, audit }) => {
    if (!(await store.verifiers.delete(name))) throw new CommandError(`there is no verifier ${name}`)
    audit('verifier.deleted', { actor: context.actor, target: name })
    context.print(options, { forgotten: name }, `forgot ${name}`)
  })
}
