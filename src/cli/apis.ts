import { Command } from 'commander'
import type { Base } from '../node/base.ts'
import {
  apiName,
  changedTexts,
  checkApi,
  checkNotIssuer,
  describeApi,
  isResourceUri,
} from '../oauth/api-rules.ts'
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
  collect,
  collectWords,
  examples,
  type Json,
  UsageError,
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
          .option('--name <name>', 'what people are shown instead of the identifier')
          .option('--scope-text <scope=text>', SCOPE_TEXT, collect)
          .addOption(accessTokenTtlOption())
          .action((identifier: string, options: CreateOptions) => create(context, identifier, options)),
        'apis create https://orders.example --scope orders:read --scope orders:write',
        'apis create https://payments.example --scope pay --access-token-ttl 5m',
        'apis create https://mail.example --name Mail --scope mail:read --scope-text "mail:read=Read your mail"',
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
          action('update', 'change the scopes, the texts or the token lifetime of an API')
            .argument('<identifier>')
            .option('--scope <scope>', 'scope of the API; repeatable; replaces all its scopes', collectWords),
          SCOPE_LIST,
        )
          .option('--name <name>', 'what people are shown instead of the identifier')
          .option('--no-name', 'show the identifier')
          .option('--scope-text <scope=text>', `${SCOPE_TEXT}; without a text, the scope is shown`, collect)
          .addOption(accessTokenTtlOption())
          .action((identifier: string, options: UpdateOptions) => update(context, identifier, options)),
        'apis update https://orders.example --scope orders:read --scope orders:cancel',
        'apis update https://orders.example --add-scope orders:export',
        'apis update https://orders.example --access-token-ttl default',
        'apis update https://orders.example --scope-text "orders:read=See your orders"',
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

const SCOPE_TEXT = 'what people are shown instead of a scope; repeatable'

interface UpdateOptions extends Json {
  readonly scope?: string[]
  /** false: `--no-name`. */
  readonly name?: string | false
  readonly scopeText?: string[]
  readonly accessTokenTtl?: AccessTokenTtl
}

interface CreateOptions extends UpdateOptions {
  readonly scope: string[]
}

function print(context: Context, options: Json, api: New<Api>): void {
  const ttl = api.accessTokenTtl === null ? 'default' : span(api.accessTokenTtl)
  const value = describeApi(api)
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
  const blank = { identifier, name: null, scopes, scopeTexts: {}, accessTokenTtl }
  const draft = { ...blank, ...shownOf(blank, options) }
  checkApi(draft)
  return context.withStore(async (base) => {
    checkNotIssuer(identifier, base.config.issuer)
    const api = { ...draft, createdAt: base.clock.now() }
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

/** The name and the texts after the change that the options describe. @throws {UsageError} */
function shownOf(
  api: Pick<Api, 'name' | 'scopes' | 'scopeTexts'>,
  { name, scopeText = [] }: UpdateOptions,
): Pick<Api, 'name' | 'scopeTexts'> {
  const changes = new Map(scopeText.map((text) => splitText(text, api.scopes)))
  return {
    name: name === undefined ? api.name : name === false ? null : (apiName(name) ?? name),
    scopeTexts: changedTexts(api, changes),
  }
}

/** `orders:read=See your orders`. A scope may contain `=`, so the longest scope of the API that fits is meant. */
function splitText(option: string, scopes: readonly string[]): [scope: string, text: string | null] {
  const fitting = scopes.filter((scope) => option.startsWith(`${scope}=`)).sort((a, b) => b.length - a.length)
  const [scope] = fitting
  if (scope === undefined) {
    throw new UsageError(`--scope-text must be <scope>=<text> with a scope of the API, and not ${option}`)
  }
  return [scope, option.slice(scope.length + 1) || null]
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
      apis.map(describeApi),
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
      const changed = { ...current, scopes, accessTokenTtl }
      const api = { ...changed, ...shownOf(changed, options) }
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
