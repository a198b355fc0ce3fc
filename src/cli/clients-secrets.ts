/** `clients rotate-secret` and `clients secrets`. */
import { Command } from 'commander'
import type { Seconds } from '../system.ts'
import { printClient } from './client-view.ts'
import { suppliedSecret } from './clients-register.ts'
import { action, type Context, examples, type Json } from './context.ts'
import { table, time } from './output.ts'

export interface RotateOptions extends Json {
  readonly secretStdin?: boolean
  readonly overlap?: Seconds
}

interface EndOptions extends Json {
  readonly force?: boolean
}

export const secretsCommand = (context: Context): Command =>
  new Command('secrets')
    .description('list the secrets of a client, and end one')
    .addCommand(
      examples(
        action('list', 'list the secrets that are accepted, and when each was used last')
          .argument('<id>')
          .action((id: string, options: Json) => list(context, id, options)),
        'clients secrets list shop',
      ),
    )
    .addCommand(
      examples(
        action('end', 'end a secret at once')
          .argument('<id>')
          .argument('<secret-id>')
          .option('--force', 'also end the last secret, without which the client cannot authenticate')
          .action((id: string, secretId: string, options: EndOptions) => end(context, id, secretId, options)),
        'clients secrets end shop cs_X7k2w0pQZ1mB4nV8yR3tLsC6dFa',
      ),
    )

export function rotateSecret(context: Context, id: string, options: RotateOptions): Promise<void> {
  return context.withAdmin(async ({ clients }) => {
    // The client must exist before a secret is asked for.
    await clients.find(id)
    const secret = { overlap_seconds: options.overlap ?? 0, ...(await suppliedSecret(context, options)) }
    const added = context.changed(await clients.addSecret(id, secret))
    const { value: client } = await clients.find(id)
    const { secret_id, client_secret, client_secret_expires_at } = added
    const issued = client_secret === undefined ? {} : { client_secret, client_secret_expires_at }
    printClient(context, options, { ...client, ...issued }, { secret_id })
  })
}

function list(context: Context, id: string, options: Json): Promise<void> {
  return context.withAdmin(async ({ clients }) => {
    const { value: secrets } = await clients.listSecrets(id)
    const cells = secrets.map((secret) => [
      secret.secret_id,
      time(secret.created_at),
      secret.expires_at === null ? 'never' : time(secret.expires_at),
      secret.last_used_at === null ? 'never' : time(secret.last_used_at),
    ])
    context.print(options, secrets, table(['SECRET ID', 'CREATED', 'EXPIRES', 'LAST USED'], cells))
  })
}

function end(
  context: Context,
  id: string,
  secretId: string,
  { force, ...options }: EndOptions,
): Promise<void> {
  return context.withAdmin(async ({ clients }) => {
    const ended = context.changed(await clients.endSecret(id, secretId, { force }))
    context.print(options, ended, `ended ${secretId}`)
  })
}
