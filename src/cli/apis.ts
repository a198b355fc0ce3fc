import { Command } from 'commander'
import type { Base } from '../node/base.ts'
import { checkApi, checkNotIssuer, isResourceUri } from '../oauth/api-rules.ts'
import { isSameResource } from '../resource-uri.ts'
import type { Api } from '../store/contracts/apis.ts'
import type { New } from '../store/contracts/update.ts'
import { type AccessTokenTtl, accessTokenTtlOption, resolveTtl } from './access-token-ttl.ts'
import { confirmDelete, type DeleteOptions, yesOption } from './confirm.ts'
import {
  action,
  assertChanges,
  CommandError,
  type CommandFactory,
  type Context,
  collectWords,
  examples,
  type Json,
} from './context.ts'
import { changedList, listChanges, SCOPE_LIST } from './list-options.ts'
import { record, span, table, time } from './output.ts'
import { noteScopeHolders } from './scope-owners.ts'

export const apisCommand: CommandFactory = (context) =>
  new Command('apis')
    .description('manage the APIs that tokens are issued for, and their scopes')
    .addCommand(
      examples(
        action('create', 'register an API')
          .argument('<identifier>', 'absolute URI; the aud of its tokens')
          .requiredOption('--scope <scope>', 'scope of the API; repeatable', collectWords)
          .addOption(accessTokenTtlOption())
          .action((identifier: string, options: CreateOptions) => create(context, identifier, options)),
        'apis create https://orders.example --scope orders:read --scope orders:write',
        'apis create https://payments.example --scope pay --access-token-ttl 5m',
      ),
    )
    .addCommand(
      examples(
        action('list', 'list all APIs').action((options: Json) => list(context, options)),
        'apis list',
      ),
    )
    .addCommand(
      examples(
        action('show', 'show an API')
          .argument('<identifier>')
          .action((identifier: string, options: Json) => show(context, identifier, options)),
        'apis show https://orders.example',
      ),
    )
    .addCommand(
      examples(
        listChanges(
          action('update', 'change the scopes of an API or the lifetime of its tokens')
            .argument('<identifier>')
            .option('--scope <scope>', 'scope of the API; repeatable; replaces all its scopes', collectWords),
          SCOPE_LIST,
        )
          .addOption(accessTokenTtlOption())
          .action((identifier: string, options: UpdateOptions) => update(context, identifier, options)),
        'apis update https://orders.example --scope orders:read --scope orders:cancel',
        'apis update https://orders.example --add-scope orders:export',
        'apis update https://orders.example --access-token-ttl default',
      ),
    )
    .addCommand(
      examples(
        yesOption(action('delete', 'delete an API; its scopes then belong to no API'))
          .argument('<identifier>')
          .action((identifier: string, options: DeleteOptions) => remove(context, identifier, options)),
        'apis delete https://orders.example',
      ),
    )

interface UpdateOptions extends Json {
  readonly scope?: string[]
  readonly accessTokenTtl?: AccessTokenTtl
}

interface CreateOptions extends UpdateOptions {
  readonly scope: string[]
}

function describe(api: New<Api>) {
  return {
    identifier: api.identifier,
    scopes: api.scopes,
    access_token_ttl: api.accessTokenTtl,
    created_at: api.createdAt,
  }
}

function print(context: Context, options: Json, api: New<Api>): void {
  const ttl = api.accessTokenTtl === null ? 'default' : span(api.accessTokenTtl)
  const value = describe(api)
  context.print(
    options,
    value,
    record({ ...value, access_token_ttl: ttl, created_at: time(value.created_at) }),
  )
}

async function find(base: Base, identifier: string): Promise<Api> {
  const api = await base.store.apis.find(identifier)
  if (!api) throw new CommandError(`there is no API ${identifier}`)
  return api
}

function create(context: Context, identifier: string, options: CreateOptions): Promise<void> {
  const { scope: scopes } = options
  const accessTokenTtl = resolveTtl(options.accessTokenTtl, null)
  checkApi({ identifier, scopes })
  return context.withStore(async (base) => {
    checkNotIssuer(identifier, base.config.issuer)
    const api = { identifier, scopes, accessTokenTtl, createdAt: base.clock.now() }
    if (!(await base.store.apis.insert(api))) {
      const existing = await base.store.apis.find(identifier)
      if (existing) throw new CommandError(`the API ${existing.identifier} already exists`)
      await throwScopeTaken(base, api)
    }
    base.audit('api.changed', { actor: context.actor, target: identifier, action: 'created' })
    if (!isResourceUri(identifier)) {
      context.note(
        `${identifier} is not an absolute URI such as https://orders.example: tokens for the API have it as aud, but clients cannot name it in resource (RFC 8707 §2)`,
      )
    }
    print(context, options, api)
  })
}

async function throwScopeTaken(base: Base, api: Pick<Api, 'identifier' | 'scopes'>): Promise<never> {
  for (const other of await base.store.apis.list()) {
    const taken = other.scopes.find((scope) => api.scopes.includes(scope))
    if (taken !== undefined && other.identifier !== api.identifier) {
      throw new CommandError(
        `the scope ${taken} belongs to ${other.identifier}: a scope can belong to only one API`,
      )
    }
  }
  throw new CommandError('the APIs were changed by another command at the same time: try again')
}

function list(context: Context, options: Json): Promise<void> {
  return context.withStore(async (base) => {
    const apis = await base.store.apis.list()
    const rows = apis.map((api) => [
      api.identifier,
      api.scopes.join(' '),
      api.accessTokenTtl === null ? 'default' : span(api.accessTokenTtl),
      time(api.createdAt),
    ])
    context.print(
      options,
      apis.map(describe),
      table(['IDENTIFIER', 'SCOPES', 'ACCESS TOKEN TTL', 'CREATED'], rows),
    )
  })
}

function show(context: Context, identifier: string, options: Json): Promise<void> {
  return context.withStore(async (base) => print(context, options, await find(base, identifier)))
}

function update(context: Context, identifier: string, options: UpdateOptions): Promise<void> {
  const { json, ...changes } = options
  assertChanges('apis update', changes)
  return context.withStore(async (base) => {
    const outcome = await base.store.apis.update(identifier, (current) => {
      const scopes = changedList(SCOPE_LIST, current.scopes, options)
      const accessTokenTtl = resolveTtl(options.accessTokenTtl, current.accessTokenTtl)
      const api = { ...current, scopes, accessTokenTtl }
      checkApi(api)
      return api
    })
    if (!outcome.updated) {
      const { identifier: own, scopes } = await find(base, identifier)
      return throwScopeTaken(base, { identifier: own, scopes: changedList(SCOPE_LIST, scopes, options) })
    }
    const { before, after: api } = outcome
    base.audit('api.changed', { actor: context.actor, target: api.identifier, action: 'updated' })
    await noteScopeHolders(
      context,
      base,
      before.scopes.filter((scope) => !api.scopes.includes(scope)),
    )
    print(context, options, api)
  })
}

function remove(context: Context, named: string, options: DeleteOptions): Promise<void> {
  return context.withStore(async (base) => {
    const api = await find(base, named)
    const { identifier } = api
    await confirmDelete(
      context,
      options,
      `Delete the API ${identifier}? Tokens are no longer issued for it, and its scopes belong to no API.`,
    )
    if (!(await base.store.apis.delete(identifier))) throw new CommandError(`there is no API ${identifier}`)
    base.audit('api.changed', { actor: context.actor, target: identifier, action: 'deleted' })
    await noteScopeHolders(context, base, api.scopes)
    const introspecting = (await base.store.clients.list()).filter((client) =>
      client.introspects.some((one) => isSameResource(one, identifier)),
    )
    for (const client of introspecting)
      context.note(`client ${client.id} can no longer introspect the tokens of ${identifier}`)
    context.print(options, { deleted: identifier }, `deleted ${identifier}`)
  })
}
