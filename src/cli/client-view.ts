/** Finds a client, and prints it. */
import type { Base } from '../node/base.ts'
import { describeClient } from '../oauth/client-registration/registration.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { New, UpdateOutcome } from '../store/contracts/update.ts'
import { CommandError, type Context, type Json } from './context.ts'
import { record, span, time } from './output.ts'

export async function findClient(base: Base, id: string): Promise<Client> {
  const client = await base.store.clients.find(id)
  if (!client) throw new CommandError(`there is no client ${id}`)
  return client
}

/** The client before and after an update. @throws {CommandError} if it was deleted */
export function updatedClient(outcome: UpdateOutcome<Client>, id: string) {
  if (!outcome.updated) throw new CommandError(`there is no client ${id}`)
  return outcome
}

/**
 * @param secret a newly generated secret. Only its hash is stored, so it cannot be shown later.
 * @param more printed after the secret
 */
export function printClient(
  context: Context,
  options: Json,
  client: New<Client>,
  secret?: string,
  more: Readonly<Record<string, unknown>> = {},
): void {
  // RFC 7591 §3.2.1: 0 means that the secret does not expire. It is the newest one.
  const expiresAt = client.secrets.at(-1)?.expiresAt ?? 0
  const issued = secret === undefined ? {} : { client_secret: secret, client_secret_expires_at: expiresAt }
  if (secret !== undefined) context.note('the secret is shown only once: save it now')
  const { client_id, ...rest } = describeClient(client)
  context.print(options, { client_id, ...issued, ...more, ...rest }, clientRecord(client, secret, more))
}

function clientRecord(
  client: New<Client>,
  secret: string | undefined,
  more: Readonly<Record<string, unknown>>,
): string {
  const { client_id, client_id_issued_at, access_token_ttl, ...rest } = describeClient(client)
  return record({
    client_id,
    ...(secret === undefined ? {} : { client_secret: secret }),
    ...more,
    ...rest,
    access_token_ttl: client.accessTokenTtl === null ? 'default' : span(client.accessTokenTtl),
    created_at: time(client.createdAt),
  })
}
