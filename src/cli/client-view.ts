/** Prints a client. */
import type { RegisteredClientView } from '../admin/clients.schema.ts'
import type { Context, Json } from './context.ts'
import { record, span, time } from './output.ts'

/** @param more printed after the secret */
export function printClient(
  context: Context,
  options: Json,
  client: RegisteredClientView,
  more: Readonly<Record<string, unknown>> = {},
): void {
  if (client.client_secret !== undefined) context.note('the secret is shown only once: save it now')
  const { client_id, client_secret, client_secret_expires_at, ...rest } = client
  const issued = client_secret === undefined ? {} : { client_secret, client_secret_expires_at }
  context.print(options, { client_id, ...issued, ...more, ...rest }, clientRecord(client, more))
}

function clientRecord(client: RegisteredClientView, more: Readonly<Record<string, unknown>>): string {
  const {
    client_id,
    client_id_issued_at,
    client_secret,
    client_secret_expires_at,
    access_token_ttl,
    ...rest
  } = client
  return record({
    client_id,
    ...(client_secret === undefined ? {} : { client_secret }),
    ...more,
    ...rest,
    access_token_ttl: access_token_ttl === null ? 'default' : span(access_token_ttl),
    created_at: time(client_id_issued_at),
  })
}
