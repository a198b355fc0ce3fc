/** Which API owns a scope, and which clients and roles still have a scope that no API owns. */
import { Option } from 'commander'
import { commandLine } from '../command-line.ts'
import type { Base } from '../node/base.ts'
import { PROTOCOL_SCOPES } from '../oauth/scope.ts'
import { CommandError, type Context } from './context.ts'

export interface ScopeChoice {
  readonly allowUnowned?: boolean
}

export const allowUnownedOption = (): Option =>
  new Option('--allow-unowned', 'also accept scopes that no API has')

/**
 * A scope that belongs to no API is usually a typing mistake, and a token with it has the default audience.
 * @throws {CommandError} unless the operator allows it
 */
export async function assertOwned(
  base: Base,
  scopes: readonly string[],
  { allowUnowned }: ScopeChoice,
): Promise<void> {
  const unowned = allowUnowned ? [] : await unownedAmong(base, scopes)
  if (unowned.length === 0) return
  throw new CommandError(
    `no API has the scope ${unowned.join(', ')}: add it to one with ${commandLine('apis create')} or ${commandLine('apis update --add-scope')}, or give --allow-unowned`,
  )
}

/** Names the scopes that belong to no API, and what that means. */
export async function noteUnownedScopes(
  context: Context,
  base: Base,
  scopes: readonly string[],
): Promise<void> {
  const unowned = await unownedAmong(base, scopes)
  if (unowned.length === 0) return
  context.note(
    `no API has the scope ${unowned.join(', ')}; the audience of a token with only such scopes is ${base.config.defaultAudience}`,
  )
}

async function unownedAmong({ store }: Base, scopes: readonly string[]): Promise<string[]> {
  const owned = new Set((await store.apis.list()).flatMap((api) => api.scopes))
  return scopes.filter((scope) => !owned.has(scope) && !PROTOCOL_SCOPES.includes(scope))
}

/** Names the clients and roles that still have scopes which were removed from an API. */
export async function noteScopeHolders(
  context: Context,
  base: Base,
  scopes: readonly string[],
): Promise<void> {
  if (scopes.length === 0) return
  const hasScope = (holder: { readonly scopes: readonly string[] }) =>
    holder.scopes.some((scope) => scopes.includes(scope))
  const clients = (await base.store.clients.list()).filter(hasScope).map((client) => client.id)
  const roles = (await base.store.roles.list()).filter(hasScope).map((role) => role.name)
  const holders = [
    ...(clients.length > 0 ? [`clients ${clients.join(', ')}`] : []),
    ...(roles.length > 0 ? [`roles ${roles.join(', ')}`] : []),
  ]
  if (holders.length === 0) return
  context.note(
    `${holders.join(' and ')} still have scopes that no longer belong to this API: ${scopes.join(', ')}`,
  )
}
