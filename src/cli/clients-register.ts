/** `clients create` and `clients update`, which apply the same rules. */
import type { Base } from '../node/base.ts'
import { usesSecret } from '../oauth/client-auth/index.ts'
import { newClient } from '../oauth/client-registration/client-defaults.ts'
import { fetchLogo } from '../oauth/client-registration/client-logo.ts'
import {
  checkUserSuppliedSecret,
  type SecretDeps,
  withSecrets,
} from '../oauth/client-registration/client-secrets.ts'
import { checkRegistration, createClientId } from '../oauth/client-registration/registration.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { New } from '../store/contracts/update.ts'
import { type ClientOptions, readOptions } from './client-options.ts'
import { findClient, printClient, updatedClient } from './client-view.ts'
import { assertChanges, CommandError, type Context, UsageError } from './context.ts'
import { newEnvFile } from './env-file.ts'
import { assertOwned, noteUnownedScopes } from './scope-owners.ts'
import { readSecret } from './secret-input.ts'

export interface CreateOptions extends ClientOptions {
  readonly name: string
  readonly id?: string
  readonly env?: string
}

export function createClient(context: Context, options: CreateOptions): Promise<void> {
  if (options.grant === undefined && options.introspects === undefined) {
    throw new UsageError(
      '--grant is missing (a client that only introspects tokens needs only --introspects)',
    )
  }
  return context.withStore(async (base) => {
    const blank = newClient({
      id: options.id ?? createClientId(base.random),
      name: options.name,
      createdAt: base.clock.now(),
    })
    const draft = readOptions(await registeredApis(base, options), context)(blank)
    await checkClient(base, draft, options, [])
    const envFile = options.env === undefined ? null : newEnvFile(context, options.env)
    const { client, secret } = await withSecrets(
      null,
      { ...draft, ...(await changedLogo(base, options)) },
      await userSuppliedSecret(context, options),
      secretDeps(base),
    )
    const register = async () => {
      if (await base.store.clients.insert(client)) return
      throw new CommandError(`the client ${client.id} already exists`)
    }
    if (envFile === null) await register()
    else await envFile.write({ id: client.id, secret }, register)
    base.audit('client.changed', {
      actor: context.actor,
      client_id: client.id,
      target: client.id,
      action: 'created',
    })
    await noteUnownedScopes(context, base, client.scopes)
    if (envFile === null) return printClient(context, options, client, secret)
    context.note(`the credentials are in ${envFile.path}`)
    printClient(context, options, client)
  })
}

export function updateClient(context: Context, id: string, options: ClientOptions): Promise<void> {
  const { json, allowUnowned, ...changes } = options
  assertChanges('clients update', changes)
  return context.withStore(async (base) => {
    const withOptions = readOptions(await registeredApis(base, options), context)
    const found = await findClient(base, id)
    await checkClient(base, withOptions(found), options, found.scopes)
    const supplied = await userSuppliedSecret(context, options)
    const logo = await changedLogo(base, options)
    let secret: string | undefined
    // Only what the options say is applied: another administrator may have changed the client while the secret was being entered.
    const outcome = await base.store.clients.update(id, async (current) => {
      const draft = { ...withOptions(current), ...logo }
      await checkClient(base, draft, options, current.scopes)
      const complete = await withSecrets(current, draft, supplied, secretDeps(base))
      secret = complete.secret
      return complete.client
    })
    const { before, after: client } = updatedClient(outcome, id)
    base.audit('client.changed', { actor: context.actor, client_id: id, target: id, action: 'updated' })
    for (const text of changeNotes(before, client)) context.note(text)
    await noteUnownedScopes(
      context,
      base,
      client.scopes.filter((scope) => !before.scopes.includes(scope)),
    )
    printClient(context, options, client, secret)
  })
}

/**
 * @param earlierScopes those that the client has already, which are accepted as they are
 * @throws {RegistrationError | UsageError | CommandError}
 */
async function checkClient(
  base: Base,
  client: New<Client>,
  options: ClientOptions,
  earlierScopes: readonly string[],
): Promise<void> {
  checkRegistration(client)
  if (options.secretStdin && !usesSecret(client.authMethod)) {
    throw new UsageError(`a client that authenticates with ${client.authMethod} has no secret`)
  }
  const newScopes = client.scopes.filter((scope) => !earlierScopes.includes(scope))
  await assertOwned(base, newScopes, options)
}

/** The options with every API as it is registered, since a URI with or without a final slash may name it. @throws {CommandError} */
async function registeredApis(base: Base, options: ClientOptions): Promise<ClientOptions> {
  const registered = async (uri: string) => {
    const api = await base.store.apis.find(uri)
    if (!api) throw new CommandError(`there is no API ${uri}`)
    return api.identifier
  }
  // An API that is removed from the list may have been deleted.
  const remembered = async (uri: string) => (await base.store.apis.find(uri))?.identifier ?? uri
  const all = async (uris: readonly string[], find: (uri: string) => Promise<string>) => [
    ...new Set(await Promise.all(uris.map(find))),
  ]
  const { introspects, addIntrospects, removeIntrospects } = options
  return {
    ...options,
    ...(introspects ? { introspects: await all(introspects, registered) } : {}),
    ...(addIntrospects ? { addIntrospects: await all(addIntrospects, registered) } : {}),
    ...(removeIntrospects ? { removeIntrospects: await all(removeIntrospects, remembered) } : {}),
  }
}

/** Fetches the logo that the options name, and stores it. @throws {RegistrationError} */
async function changedLogo(
  { store, clock }: Base,
  { logoUri }: ClientOptions,
): Promise<Partial<Pick<Client, 'logo'>>> {
  if (logoUri === undefined) return {}
  if (logoUri === false) return { logo: null }
  const logo = await fetchLogo(logoUri)
  await store.clientLogos.put({ ...logo, createdAt: clock.now() })
  return { logo: logo.hash }
}

async function userSuppliedSecret(context: Context, options: ClientOptions): Promise<string | undefined> {
  return options.secretStdin ? readUserSuppliedSecret(context) : undefined
}

export const secretDeps = ({ random, clock }: Base): SecretDeps => ({ random, now: clock.now() })

/** Reads a secret from standard input. */
export async function readUserSuppliedSecret({ io }: Context): Promise<string> {
  const secret = await readSecret(io)
  checkUserSuppliedSecret(secret)
  return secret
}

/** Describes what a client that is in use can no longer do after a change. */
function changeNotes(before: Client, after: Client): string[] {
  const removed = (name: 'grants' | 'scopes' | 'redirectUris' | 'postLogoutRedirectUris' | 'introspects') =>
    before[name].filter((value) => !after[name].includes(value)).join(', ')
  const notes = [
    [removed('grants'), 'the client can no longer use the grants'],
    [removed('scopes'), 'the client can no longer request the scopes'],
    [removed('redirectUris'), 'authorization responses are no longer sent to'],
    [removed('postLogoutRedirectUris'), 'after logout browsers are no longer sent to'],
    [removed('introspects'), 'the client can no longer introspect the tokens of'],
  ]
    .filter(([what]) => what !== '')
    .map(([what, text]) => `${text} ${what}`)
  if (before.authMethod !== after.authMethod) {
    notes.unshift(
      usesSecret(before.authMethod) && usesSecret(after.authMethod)
        ? `the client is now registered for ${after.authMethod}; ${before.authMethod} still works`
        : `the client must now authenticate with ${after.authMethod} instead of ${before.authMethod}`,
    )
  }
  for (const [name, text] of REQUIREMENTS) if (after[name] && !before[name]) notes.push(text)
  return notes
}

/** Notes about requirements that a change adds. */
const REQUIREMENTS = [
  ['requirePushedRequests', 'authorization requests that are not pushed are now refused'],
  ['requireSignedRequests', 'authorization requests that are not signed are now refused'],
  ['requireSecondFactor', 'users of this client must now sign in with a second factor'],
] as const
