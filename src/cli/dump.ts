import { dump, yamlText } from '../admin/declared/dump.ts'
import { action, type CommandFactory, type Context, examples, type Json } from './context.ts'

export const dumpCommand: CommandFactory = (context) =>
  examples(
    action('dump', 'print the APIs, roles, clients and users as a document for apply, without secrets')
      .option('--no-users', 'leave out the users')
      .action((options: DumpOptions) => print(context, options)),
    'dump > keyturn.yaml',
    'dump --no-users',
  )

interface DumpOptions extends Json {
  readonly users: boolean
}

function print(context: Context, options: DumpOptions): Promise<void> {
  return context.withAdmin(async (admin) => {
    const document = await dump(admin, options)
    context.print(options, document, yamlText(document))
  })
}
