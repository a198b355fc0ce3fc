/** `clients create` and `clients update`: the same rules, with and without something there before. */
import { hashPassword } from '../accounts/password.ts'
import type { Base } from '../node/base.ts'
import { newClient } from '../oauth/client-registration/client-defaults.ts'
import {
  checkRegistration,
  checkUserSuppliedSecret,
  issueSecret,
  makeClientId,
  usesSecret,
} from '../oauth/client-registration/registration.ts'
import type { Client } from '../store/contracts/clients.ts'
import { type ClientOptions, withOptions } from './client-options.ts'
import { findClient, printClient } from './client-view.ts'
import { CommandError, type Context, UsageError } from './context.ts'
import { noteUnowned } from './scope-notes.ts'
import { readSecret } from './secret-input.ts'

export interface CreateOptions extends ClientOptions {
  readonly name: string
  readonly id?: string
  readonly env?: boolean
}

export function createClient(context: Context, options: CreateOptions): Promise<void> {
  if (options.grant === undefined && options.introspects === undefined) {
    throw new UsageError('give --grant, or --introspects for a client that only introspects')
  }
  if (options.env && options.json) throw new UsageError('--env and --json exclude each other')
  return context.withStore(async (base) => {
    const blank = newClient({
      id: options.id ?? makeClientId(base.random),
      name: options.name,
      createdAt: base.clock.now(),
    })
    const wanted = withOptions(blank, options, context.io)
    await check(base, wanted, options)
    const { client, secret } = await withSecret(context, base, wanted, options)
    if (!(await base.store.clients.insert(client))) {
      throw new CommandError(`the client ${client.id} exists already`)
    }
    base.audit('client.changed', {
      actor: context.actor,
      client_id: client.id,
      target: client.id,
      action: 'created',
    })
    await noteUnowned(context, base, client.scopes)
    printClient(context, options, client, secret)
  })
}

export function updateClient(context: Context, id: string, options: ClientOptions): Promise<void> {
  const { json, ...changes } = options
  if (Object.keys(changes).length === 0) throw new UsageError('nothing to change: see clients update --help')
  return context.withStore(async (base) => {
    const before = await findClient(base, id)
    const wanted = withOptions(before, options, context.io)
    await check(base, wanted, options)
    const { client, secret } = await withSecret(context, base, wanted, options)
    if (!(await base.store.clients.replace(client))) throw new CommandError(`there is no client ${id}`)
    base.audit('client.changed', { actor: context.actor, client_id: id, target: id, action: 'updated' })
    for (const text of consequences(before, client)) context.note(text)
    await noteUnowned(
      context,
      base,
      client.scopes.filter((scope) => !before.scopes.includes(scope)),
    )
    printClient(context, options, client, secret)
  })
}

/** @throws {RegistrationError} | {UsageError} | {CommandError} before anything has changed or a secret was read */
async function check(base: Base, client: Client, options: ClientOptions): Promise<void> {
  checkRegistration(client)
  if (options.secretStdin && !usesSecret(client.authMethod)) {
    throw new UsageError(`a client that authenticates with ${client.authMethod} has no secret`)
  }
  for (const api of options.introspects ?? []) {
    if (!(await base.store.apis.find(api))) throw new CommandError(`there is no API ${api}`)
  }
}

/** The client with the secret it needs: the chosen one, the one it has, or a new one. */
async function withSecret(context: Context, base: Base, client: Client, options: ClientOptions) {
  if (!usesSecret(client.authMethod)) return { client: { ...client, secretHash: null } }
  if (options.secretStdin) return { client: { ...client, secretHash: await readUserSuppliedSecret(context) } }
  if (client.secretHash !== null) return { client }
  const { secret, hash } = issueSecret(base.random)
  return { client: { ...client, secretHash: hash }, secret }
}

/** The hash of what standard input says. */
export async function readUserSuppliedSecret({ io }: Context): Promise<string> {
  const secret = await readSecret(io)
  checkUserSuppliedSecret(secret)
  return hashPassword(secret)
}

/** What a change takes away from a client that is in use. */
function consequences(before: Client, after: Client): string[] {
  const lost = (name: 'grants' | 'scopes' | 'redirectUris' | 'postLogoutRedirectUris' | 'introspects') =>
    before[name].filter((one) => !after[name].includes(one)).join(', ')
  const notes = [
    [lost('grants'), 'from now on it is refused'],
    [lost('scopes'), 'it no longer gets'],
    [lost('redirectUris'), 'codes are no longer sent to'],
    [lost('postLogoutRedirectUris'), 'after sign-out browsers are no longer sent to'],
    [lost('introspects'), 'it can no longer introspect the tokens of'],
  ]
    .filter(([what]) => what !== '')
    .map(([what, text]) => `${text} ${what}`)
  if (before.authMethod !== after.authMethod) {
    notes.unshift(`from now on it must authenticate with ${after.authMethod}, no longer ${before.authMethod}`)
  }
  for (const [name, text] of DEMANDS) if (after[name] && !before[name]) notes.push(text)
  return notes
}

/** What a client may have got by without. */
const DEMANDS = [
  ['requirePushedRequests', 'from now on authorization requests that were not pushed are refused'],
  ['requireSignedRequests', 'from now on authorization requests that are not signed are refused'],
  ['requireSecondFactor', 'from now on its users must sign in with a second factor'],
] as const
