import { Command } from 'commander'
import { allOf } from '../admin/page.ts'
import { commandLine } from '../command-line.ts'
import { action, type CommandFactory, type Context, examples, type Json } from './context.ts'
import { table, time } from './output.ts'

export const verifiersCommand: CommandFactory = (context) =>
  new Command('verifiers')
    .description('list known verifiers, and choose those that rotations wait for')
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
        action('expect', 'make rotations wait for this verifier')
          .argument('<name>', 'name that the verifier sends')
          .action((name: string, options: Json) => expect(context, name, options)),
        'verifiers expect orders',
      ),
    )
    .addCommand(
      examples(
        action('forget', 'stop making rotations wait for this verifier')
          .argument('<name>', 'name, as shown by verifiers list')
          .action((name: string, options: Json) => forget(context, name, options)),
        'verifiers forget orders',
      ),
    )

function list(context: Context, options: Json): Promise<void> {
  return context.withAdmin(async ({ verifiers }) => {
    const rows = await allOf(verifiers.list)
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
  return context.withAdmin(async ({ verifiers }) => {
    const { value, notes } = await verifiers.expect(name)
    for (const note of notes)
      context.note(`${note}; if the name is mistyped: ${commandLine(`verifiers forget ${name}`)}`)
    context.print(options, value, `rotations wait for ${name}`)
  })
}

function forget(context: Context, name: string, options: Json): Promise<void> {
  return context.withAdmin(async ({ verifiers }) => {
    context.print(options, context.changed(await verifiers.forget(name)), `forgot ${name}`)
  })
}
