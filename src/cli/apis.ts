import { Command } from 'commander'
import type { ApiChangeView, ApiView } from '../admin/apis.schema.ts'
import { allOf } from '../admin/page.ts'
import { changing } from '../admin/revision.ts'
import { type AccessTokenTtl, accessTokenTtlOption, ttlOf } from './access-token-ttl.ts'
import { algorithmOption } from './client-security-options.ts'
import { confirmDelete, type DeleteOptions, yesOption } from './confirm.ts'
import {
  action,
  assertChanges,
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
          .addOption(algorithmOption('signing-alg', 'its access tokens'))
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
          action('update', 'change the scopes, the texts, the token lifetime or the algorithm of an API')
            .argument('<identifier>')
            .option('--scope <scope>', 'scope of the API; repeatable; replaces all its scopes', collectWords),
          SCOPE_LIST,
        )
          .option('--name <name>', 'what people are shown instead of the identifier')
          .option('--no-name', 'show the identifier')
          .option('--scope-text <scope=text>', `${SCOPE_TEXT}; without a text, the scope is shown`, collect)
          .addOption(accessTokenTtlOption())
          .addOption(algorithmOption('signing-alg', 'its access tokens'))
          .option('--no-signing-alg', 'sign its access tokens with the algorithm of the ring')
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
  /** false: `--no-signing-alg`. */
  readonly signingAlg?: string | false
}

interface CreateOptions extends Omit<UpdateOptions, 'name' | 'signingAlg'> {
  readonly scope: string[]
  readonly name?: string
  readonly signingAlg?: string
}

function print(context: Context, options: Json, api: ApiView): void {
  const ttl = api.access_token_ttl === null ? 'default' : span(api.access_token_ttl)
  context.print(options, api, record({ ...api, access_token_ttl: ttl, created_at: time(api.created_at) }))
}

function create(context: Context, identifier: string, options: CreateOptions): Promise<void> {
  const { scope: scopes, name, accessTokenTtl, signingAlg } = options
  const scope_texts = Object.fromEntries(
    textsOf(options, scopes).flatMap(([scope, text]) => (text === null ? [] : [[scope, text]])),
  )
  return context.withAdmin(async ({ apis }) => {
    const api = {
      identifier,
      scopes,
      scope_texts,
      ...(name === undefined ? {} : { name }),
      access_token_ttl: ttlOf(accessTokenTtl) ?? null,
      ...(signingAlg === undefined ? {} : { signing_alg: signingAlg }),
    }
    print(context, options, context.changed(await apis.create(api)))
  })
}

function list(context: Context, options: Json): Promise<void> {
  return context.withAdmin(async (admin) => {
    const apis = await allOf(admin.apis.list)
    const rows = apis.map((api) => [
      api.identifier,
      api.scopes.join(' '),
      api.access_token_ttl === null ? 'default' : span(api.access_token_ttl),
      time(api.created_at),
    ])
    context.print(options, apis, table(['IDENTIFIER', 'SCOPES', 'ACCESS TOKEN TTL', 'CREATED'], rows))
  })
}

function show(context: Context, identifier: string, options: Json): Promise<void> {
  return context.withAdmin(async ({ apis }) => print(context, options, (await apis.find(identifier)).value))
}

function update(context: Context, identifier: string, options: UpdateOptions): Promise<void> {
  const { json, ...changes } = options
  assertChanges('apis update', changes)
  const change = (current: ApiView): ApiChangeView => {
    const scopes = changedList(SCOPE_LIST, current.scopes, options)
    const ttl = ttlOf(options.accessTokenTtl)
    return {
      scopes,
      ...(options.name === undefined ? {} : { name: options.name === false ? null : options.name }),
      ...(options.scopeText === undefined
        ? {}
        : { scope_texts: Object.fromEntries(textsOf(options, scopes)) }),
      ...(ttl === undefined ? {} : { access_token_ttl: ttl }),
      ...(options.signingAlg === undefined ? {} : { signing_alg: options.signingAlg || null }),
    }
  }
  return context.withAdmin(async ({ apis }) => {
    const outcome = await changing(
      () => apis.find(identifier),
      (current, condition) => apis.update(identifier, change(current), condition),
    )
    print(context, options, context.changed(outcome))
  })
}

function remove(context: Context, named: string, options: DeleteOptions): Promise<void> {
  return context.withAdmin(async ({ apis }) => {
    const { identifier } = (await apis.find(named)).value
    await confirmDelete(
      context,
      options,
      `Delete the API ${identifier}? Tokens are no longer issued for it, and its scopes belong to no API.`,
    )
    context.print(options, context.changed(await apis.delete(identifier)), `deleted ${identifier}`)
  })
}

/** The texts that the options give or, with an empty one, remove. @throws {UsageError} */
function textsOf<O extends { readonly scopeText?: string[] }>(
  { scopeText = [] }: O,
  scopes: readonly string[],
): [scope: string, text: string | null][] {
  return scopeText.map((option) => splitText(option, scopes))
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
