/** How a client is found and shown. */
import type { Base } from '../node/base.ts'
import { describeClient } from '../oauth/client-registration/registration.ts'
import type { Client } from '../store/contracts/clients.ts'
import { CommandError, type Context, type Json } from './context.ts'
import { record, span, time } from './output.ts'

export async function findClient(base: Base, id: string): Promise<Client> {
  const client = await base.store.clients.find(id)
  if (!client) throw new CommandError(`there is no client ${id}`)
  return client
}

interface ViewOptions extends Json {
  /** Two lines for an environment file, and nothing else. */
  readonly env?: boolean
}

/** @param secret one that was made just now: this is the only time that it can be shown */
export function printClient(context: Context, options: ViewOptions, client: Client, secret?: string): void {
  // RFC 7591 §3.2.1: 0 is "does not expire".
  const issued = secret === undefined ? {} : { client_secret: secret, client_secret_expires_at: 0 }
  if (secret !== undefined && !options.env) {
    context.note('the secret is shown this once and cannot be had again: keep it now')
  }
  const text = options.env ? envFile(client.id, secret) : forPeople(client, secret)
  const { client_id, ...rest } = describeClient(client)
  context.print(options, { client_id, ...issued, ...rest }, text)
}

function forPeople(client: Client, secret: string | undefined): string {
  const { client_id, client_id_issued_at, access_token_ttl, ...rest } = describeClient(client)
  return record({
    client_id,
    ...(secret === undefined ? {} : { client_secret: secret }),
    ...rest,
    access_token_ttl: client.accessTokenTtl === null ? 'default' : span(client.accessTokenTtl),
    created_at: time(client.createdAt),
  })
}

function envFile(id: string, secret: string | undefined): string {
  const lines = [`CLIENT_ID=${quoted(id)}`]
  if (secret !== undefined) lines.push(`CLIENT_SECRET=${quoted(secret)}`)
  return lines.join('\n')
}

/** As a shell reads it; unquoted where that is the same, because not every reader of such files is a shell. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
