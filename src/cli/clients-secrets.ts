/** `clients rotate-secret` and `clients secrets`. */
import { Command } from 'commander'
import { usesSecret } from '../oauth/client-auth/index.ts'
import {
  addSecret,
  describeSecret,
  endSecret,
  goodSecrets,
} from '../oauth/client-registration/client-secrets.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { Seconds } from '../system.ts'
import { findClient, printClient, updatedClient } from './client-view.ts'
import { readUserSuppliedSecret, secretDeps } from './clients-register.ts'
import { action, CommandError, type Context, examples, type Json } from './context.ts'
import { count, table, time } from './output.ts'

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
  const { overlap = 0 } = options
  return context.withStore(async (base) => {
    const assertUsesSecret = ({ authMethod }: Client) => {
      if (usesSecret(authMethod)) return
      throw new CommandError(`${id} authenticates with ${authMethod} and has no secret`)
    }
    // This is checked before a secret is asked for, and again in the update, because the operator may take any amount of time to
    // enter the secret.
    assertUsesSecret(await findClient(base, id))
    const supplied = options.secretStdin ? await readUserSuppliedSecret(context) : undefined
    let secret: string | undefined
    const outcome = await base.store.clients.update(id, async (current) => {
      assertUsesSecret(current)
      const added = await addSecret(current.secrets, { supplied, overlap }, secretDeps(base))
      secret = added.secret
      return { ...current, secrets: added.secrets }
    })
    const { after: client } = updatedClient(outcome, id)
    base.audit('client.changed', {
      actor: context.actor,
      client_id: id,
      target: id,
      action: 'secret rotated',
    })
    for (const { id: old, expiresAt } of client.secrets.slice(0, -1)) {
      context.note(`the old secret ${old} is accepted until ${time(expiresAt)}`)
    }
    printClient(context, options, client, secret, { secret_id: client.secrets.at(-1)?.id })
  })
}

function list(context: Context, id: string, options: Json): Promise<void> {
  return context.withStore(async (base) => {
    const { secrets } = await findClient(base, id)
    const uses = await base.store.clients.secretUses(id)
    const rows = goodSecrets(secrets, base.clock.now()).map((secret) =>
      describeSecret(secret, uses.get(secret.id) ?? null),
    )
    const cells = rows.map((row) => [
      row.secret_id,
      time(row.created_at),
      row.expires_at === null ? 'never' : time(row.expires_at),
      row.last_used_at === null ? 'never' : time(row.last_used_at),
    ])
    context.print(options, rows, table(['SECRET ID', 'CREATED', 'EXPIRES', 'LAST USED'], cells))
  })
}

function end(context: Context, id: string, secretId: string, { force = false, ...options }: EndOptions) {
  return context.withStore(async (base) => {
    const now = base.clock.now()
    const outcome = await base.store.clients.update(id, (current) => {
      const secrets = endSecret(current.secrets, secretId, { now, force })
      if (secrets === null) throw new CommandError(`the client ${id} has no secret ${secretId}`)
      return { ...current, secrets }
    })
    const { after: client } = updatedClient(outcome, id)
    base.audit('client.changed', { actor: context.actor, client_id: id, target: id, action: 'secret ended' })
    context.note(
      client.secrets.length === 0
        ? 'the client has no secret any more and can no longer authenticate'
        : `the client has ${count(client.secrets.length, 'secret')} left`,
    )
    context.print(options, { ended: secretId }, `ended ${secretId}`)
  })
}
