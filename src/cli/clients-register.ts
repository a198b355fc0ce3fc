/** `clients create` and `clients update`. */
import type { Admin } from '../admin/admin.ts'
import { AdminError } from '../admin/errors.ts'
import { changing } from '../admin/revision.ts'
import { type ClientOptions, readOptions } from './client-options.ts'
import { printClient } from './client-view.ts'
import { assertChanges, type Context, type Json, UsageError } from './context.ts'
import { newEnvFile } from './env-file.ts'
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
  return context.withAdmin(async (admin) => {
    const client = {
      ...readOptions(options, context)(null),
      client_name: options.name,
      ...(options.id === undefined ? {} : { client_id: options.id }),
    }
    const envFile = options.env === undefined ? null : newEnvFile(context, options.env)
    const supplied = await suppliedSecret(context, options)
    const register = async () =>
      context.changed(await admin.clients.create({ ...client, ...supplied }, options))
    if (envFile === null) return printClient(context, options, await register())
    const registered = await envFile.write(register)
    context.note(`the credentials are in ${envFile.path}`)
    const { client_secret, client_secret_expires_at, ...shown } = registered
    printClient(context, options, shown)
  })
}

export interface ForceOption extends Json {
  readonly force?: boolean
}

export function updateClient(
  context: Context,
  id: string,
  options: ClientOptions & ForceOption,
): Promise<void> {
  const { json, allowUnowned, force, ...changes } = options
  assertChanges('clients update', changes)
  return context.withAdmin(async (admin) => {
    const named = await registeredApis(admin, options)
    const changeOf = readOptions(named, context)
    // The client must exist before a secret is asked for.
    await admin.clients.find(id)
    const supplied = await suppliedSecret(context, options)
    // Only what the options say is applied: another administrator may have changed the client while the secret was being entered.
    const outcome = await changing(
      () => admin.clients.find(id),
      (current, condition) =>
        admin.clients.update(
          id,
          { ...changeOf(current), ...supplied },
          { allowUnowned, force, ...condition },
        ),
    )
    printClient(context, options, context.changed(outcome))
  })
}

/** The options with every API as it is registered, since a URI with or without a final slash may name it. */
async function registeredApis({ apis }: Admin, options: ClientOptions): Promise<ClientOptions> {
  // An API that is not there is refused later, or was deleted and is removed from the list.
  const registered = async (uri: string) => {
    try {
      return (await apis.find(uri)).value.identifier
    } catch (error) {
      if (error instanceof AdminError && error.problem === 'not-found') return uri
      throw error
    }
  }
  const all = async (uris: readonly string[]) => [...new Set(await Promise.all(uris.map(registered)))]
  const { introspects, addIntrospects, removeIntrospects } = options
  return {
    ...options,
    ...(introspects ? { introspects: await all(introspects) } : {}),
    ...(addIntrospects ? { addIntrospects: await all(addIntrospects) } : {}),
    ...(removeIntrospects ? { removeIntrospects: await all(removeIntrospects) } : {}),
  }
}

/** The secret from standard input, if the options say so. */
export async function suppliedSecret(
  { io }: Context,
  { secretStdin }: { readonly secretStdin?: boolean },
): Promise<{ readonly client_secret?: string }> {
  return secretStdin ? { client_secret: await readSecret(io) } : {}
}
