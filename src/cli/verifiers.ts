import { Command } from 'commander'
import { commandLine } from '../command-line.ts'
import { isVerifierName } from '../keys/known-verifiers.ts'
import { nextKey } from '../keys/ring.ts'
import { RETENTION } from '../store/retention.ts'
import { action, CommandError, type CommandFactory, type Context, examples, type Json } from './context.ts'
import { span, table, time } from './output.ts'

export const verifiersCommand: CommandFactory = (context) =>
  new Command('verifiers')
    .description('the verifiers that rotations wait for, and those that have identified themselves')
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
        action('expect', 'wait for this verifier before rotations')
          .argument('<name>', 'name that the verifier sends')
          .action((name: string, options: Json) => expect(context, name, options)),
        'verifiers expect orders',
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
    const seen = known.map(({ name, instance, seenAt, ringVersion, expected }) => ({
      name,
      instance,
      expected,
      seen_at: seenAt,
      behind: ringVersion < needed,
    }))
    const names = new Set(known.map(({ name }) => name))
    const unseen = (await store.verifiers.expected()).filter((name) => !names.has(name))
    const rows = [
      ...seen,
      ...unseen.map((name) => ({ name, instance: null, expected: true, seen_at: null, behind: false })),
    ]
    const text = table(
      ['NAME', 'INSTANCE', 'EXPECTED', 'LAST FETCH', 'NEXT KEY'],
      rows.map((row) => [
        row.name,
        row.instance ?? '',
        row.expected ? 'yes' : 'no',
        row.seen_at === null ? 'never' : time(row.seen_at),
        row.seen_at === null ? '' : row.behind ? 'not fetched' : 'fetched',
      ]),
    )
    context.print(options, rows, text)
  })
}

function expect(context: Context, name: string, options: Json): Promise<void> {
  if (!isVerifierName(name)) {
    throw new CommandError(
      `${name} is not a valid verifier name: use up to 64 letters, digits, dots, hyphens and underscores`,
    )
  }
  return context.withStore(async ({ store, audit, clock }) => {
    if (await store.verifiers.expect(name, clock.now())) {
      audit('verifier.expected', { actor: context.actor, target: name })
    }
    const seen = await store.verifiers.list(clock.now() - RETENTION.verifiers.seconds)
    if (!seen.some((verifier) => verifier.name === name)) {
      context.note(
        `no verifier named ${name} has fetched the JWKS in the last ${span(RETENTION.verifiers.seconds)}, and rotations wait until one does; if the name is mistyped: ${commandLine(`verifiers forget ${name}`)}`,
      )
    }
    context.print(options, { expected: name }, `rotations wait for ${name}`)
  })
}

function forget(context: Context, name: string, options: Json): Promise<void> {
  return context.withStore(async ({ store, audit }) => {
    if (!(await store.verifiers.delete(name))) throw new CommandError(`there is no verifier ${name}`)
    audit('verifier.deleted', { actor: context.actor, target: name })
    context.print(options, { forgotten: name }, `forgot ${name}`)
  })
}
