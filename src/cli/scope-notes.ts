import type { Base } from '../node/base.ts'
import { PROTOCOL_SCOPES } from '../oauth/scope.ts'
import type { Context } from './context.ts'

/** Says which of these scopes no API owns: that is allowed, and more often a slip of the pen. */
export async function noteUnowned(context: Context, base: Base, scopes: readonly string[]): Promise<void> {
  const owned = new Set((await base.store.apis.list()).flatMap((api) => api.scopes))
  const unowned = scopes.filter((scope) => !owned.has(scope) && !PROTOCOL_SCOPES.includes(scope))
  if (unowned.length === 0) return
  context.note(
    `no API owns ${unowned.join(', ')}: alone, such scopes make tokens for ${base.config.defaultAudience}`,
  )
}

/** Says who else is concerned when scopes stop to belong to an API or a role. */
export async function noteHolders(context: Context, base: Base, scopes: readonly string[]): Promise<void> {
  if (scopes.length === 0) return
  const has = (held: { readonly scopes: readonly string[] }) =>
    held.scopes.some((scope) => scopes.includes(scope))
  const clients = (await base.store.clients.list()).filter(has).map((client) => client.id)
  const roles = (await base.store.roles.list()).filter(has).map((role) => role.name)
  const holders = [
    ...(clients.length > 0 ? [`clients ${clients.join(', ')}`] : []),
    ...(roles.length > 0 ? [`roles ${roles.join(', ')}`] : []),
  ]
  if (holders.length === 0) return
  context.note(
    `${holders.join(' and ')} still have scopes that no longer belong to this API: ${scopes.join(', ')}`,
  )
}
