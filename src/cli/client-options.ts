/** The options of `clients create` and `clients update`, and how they are applied to a client. */
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { METHOD_NAMES } from '../oauth/client-auth/index.ts'
import { AUTH_METHOD_WITH_KEYS, CLIENT_DEFAULTS } from '../oauth/client-registration/client-defaults.ts'
import { parseClientJwks } from '../oauth/client-registration/client-jwks.ts'
import { clientName } from '../oauth/client-registration/registration.ts'
import { GRANT_NAMES } from '../oauth/grants/index.ts'
import type { Client, PkcePolicy } from '../store/contracts/clients.ts'
import type { New } from '../store/contracts/update.ts'
import { readText, whyUnreadable } from '../text.ts'
import { type AccessTokenTtl, accessTokenTtlOption, resolveTtl } from './access-token-ttl.ts'
import { type Context, collect, collectWords, fileName, type Json, UsageError } from './context.ts'
import { changedList, type ListOption, listChanges } from './list-options.ts'
import { count } from './output.ts'
import { allowUnownedOption, type ScopeChoice } from './scope-owners.ts'

export interface ClientOptions extends Json, ScopeChoice {
  readonly name?: string
  readonly grant?: string[]
  readonly scope?: string[]
  readonly redirectUri?: string[]
  readonly auth?: string
  readonly jwksFile?: string
  readonly jwksUri?: string
  readonly secretStdin?: boolean
  readonly pkce?: PkcePolicy
  readonly accessTokenTtl?: AccessTokenTtl
  readonly claimsInIdToken?: boolean
  readonly rolesClaim?: string
  readonly acceptEndpointAudience?: boolean
  readonly introspects?: string[]
  readonly addIntrospects?: string[]
  readonly removeIntrospects?: string[]
  /** false restores the default, here and below. */
  readonly backchannelLogoutUri?: string | false
  readonly logoUri?: string | false
  readonly clientUri?: string | false
  readonly policyUri?: string | false
  readonly tosUri?: string | false
  readonly firstParty?: boolean
  readonly requirePushedRequests?: boolean
  readonly requireSignedRequests?: boolean
  readonly requireSecondFactor?: boolean
}

/** Options of both `create` and `update`. */
export function clientOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--grant <grant>',
        `grant the client may use; repeatable: ${GRANT_NAMES.join(', ')}`,
      ).argParser(oneOrMoreOf(GRANT_NAMES)),
    )
    .option('--scope <scopes>', 'scopes the client may request: "a b", or repeat the option', collectWords)
    .addOption(allowUnownedOption())
    .option('--redirect-uri <uri>', 'redirect URI for authorization responses; repeatable', collect)
    .addOption(
      new Option(
        '--auth <method>',
        `client authentication (default: ${CLIENT_DEFAULTS.authMethod}, or ${AUTH_METHOD_WITH_KEYS} if keys are given)`,
      ).choices(METHOD_NAMES),
    )
    .addOption(
      new Option(
        '--jwks-file <file>',
        'JWK Set with the public keys of the client, for private_key_jwt and signed requests',
      )
        .conflicts('jwksUri')
        .argParser(fileName),
    )
    .option('--jwks-uri <url>', 'URL of the JWK Set, instead of a file')
    .option('--secret-stdin', 'read the secret from standard input instead of generating one')
    .addOption(
      new Option(
        '--pkce <policy>',
        'whether every request must use PKCE; "optional" also accepts the scope openid with a nonce (default unless --auth is none)',
      ).choices(['required', 'optional']),
    )
    .addOption(accessTokenTtlOption())
    .option(
      '--roles-claim <name>',
      `name of the claim for the scope roles (default: ${CLIENT_DEFAULTS.rolesClaim})`,
    )
    .option('--accept-endpoint-audience', 'also accept the endpoint URL as the audience of client assertions')
    .option('--introspects <api>', 'API whose tokens the client may introspect; repeatable', collectWords)
    .option(
      '--post-logout-redirect-uri <uri>',
      'post-logout redirect URI; repeatable',
      (uri, before?: string[] | false) => collect(uri, before || []),
    )
    .option('--backchannel-logout-uri <url>', 'URL that receives a logout token when a session ends')
    .option(
      '--logo-uri <url>',
      'logo for the consent page, fetched now and kept: PNG, JPEG or WebP, at most 100 KB',
    )
    .option('--client-uri <url>', 'page about the client, linked on the consent page')
    .option('--policy-uri <url>', 'privacy policy, linked on the consent page')
    .option('--tos-uri <url>', 'terms of service, linked on the consent page')
    .option('--first-party', 'first-party client: skip the consent page')
    .option('--require-pushed-requests', 'require pushed authorization requests (RFC 9126)')
    .option('--require-signed-requests', 'require signed authorization requests (RFC 9101)')
    .option('--require-second-factor', 'require users of this client to sign in with a second factor')
}

/** The lists of a client, and the options for each. */
const LISTS = {
  grants: { name: 'grant', value: '<grant>', what: 'grant', parse: oneOrMoreOf(GRANT_NAMES) },
  scopes: { name: 'scope', value: '<scopes>', what: 'scope', parse: collectWords },
  redirectUris: { name: 'redirect-uri', value: '<uri>', what: 'redirect URI', parse: collect },
  introspects: { name: 'introspects', value: '<api>', what: 'introspected API', parse: collectWords },
  postLogoutRedirectUris: {
    name: 'post-logout-redirect-uri',
    value: '<uri>',
    what: 'post-logout redirect URI',
    parse: collect,
  },
} as const satisfies Partial<Record<keyof Client, ListOption>>

/** Options of `update` that change one member of a list. */
export const memberOptions = (command: Command): Command => Object.values(LISTS).reduce(listChanges, command)

/**
 * commander gives a `--no-…` option the default true if the command does not declare the positive option before it. `create` uses that
 * default. `update` declares both, so that the value is undefined if neither is given.
 */
export function noClaimsInIdToken(command: Command): Command {
  return command.option(
    '--no-claims-in-id-token',
    'give the claims of profile, email and roles only at userinfo',
  )
}

/** Options of `update` that restore a default. */
export function resetOptions(command: Command): Command {
  return noClaimsInIdToken(
    command.option(
      '--claims-in-id-token',
      'give the claims of profile, email and roles in ID tokens too (default)',
    ),
  )
    .option('--no-accept-endpoint-audience', 'accept only the issuer as the audience of client assertions')
    .option('--no-post-logout-redirect-uri', 'remove all post-logout redirect URIs')
    .option('--no-backchannel-logout-uri', 'no longer send logout tokens to the client')
    .option('--no-logo-uri', 'remove the logo')
    .option('--no-client-uri', 'remove the link to the page about the client')
    .option('--no-policy-uri', 'remove the link to the privacy policy')
    .option('--no-tos-uri', 'remove the link to the terms of service')
    .option('--no-first-party', 'show the consent page')
    .option('--no-require-pushed-requests', 'no longer require pushed requests')
    .option('--no-require-signed-requests', 'no longer require signed requests')
    .option('--no-require-second-factor', 'no longer require a second factor')
}

function oneOrMoreOf(names: readonly string[]) {
  return (value: string, before?: string[]): string[] => {
    const words = collectWords(value, before)
    const unknown = words.find((word) => !names.includes(word))
    if (unknown !== undefined) throw new InvalidArgumentError(`Allowed choices are ${names.join(', ')}.`)
    return words
  }
}

/**
 * Reads the files that the options name, and returns the change that the options describe: all other fields are unchanged. The
 * change can be applied again to a newer state of the client (store/contracts/update.ts).
 */
export function readOptions(options: ClientOptions, context: Context): (client: New<Client>) => New<Client> {
  const keys =
    options.jwksFile !== undefined
      ? { jwks: readJwks(context, options.jwksFile), jwksUri: null }
      : options.jwksUri !== undefined
        ? { jwks: null, jwksUri: options.jwksUri }
        : {}
  return (client) => applyOptions(client, options, keys)
}

function applyOptions(
  client: New<Client>,
  options: ClientOptions,
  keys: Partial<Pick<Client, 'jwks' | 'jwksUri'>>,
): New<Client> {
  // Only the first keys of a client change its authentication method: a client that has keys and authenticates in another way uses
  // them for signed requests.
  const addsFirstKeys = 'jwks' in keys && client.jwks === null && client.jwksUri === null
  const given = {
    name: options.name === undefined ? undefined : (clientName(options.name) ?? options.name),
    ...changedLists(client, options),
    authMethod: options.auth ?? (addsFirstKeys ? AUTH_METHOD_WITH_KEYS : undefined),
    pkce: options.pkce,
    accessTokenTtl: resolveTtl(options.accessTokenTtl, client.accessTokenTtl),
    claimsInIdToken: options.claimsInIdToken,
    rolesClaim: options.rolesClaim,
    acceptEndpointAudience: options.acceptEndpointAudience,
    backchannelLogoutUri: orDefault(options.backchannelLogoutUri, CLIENT_DEFAULTS.backchannelLogoutUri),
    logoUri: orDefault(options.logoUri, CLIENT_DEFAULTS.logoUri),
    clientUri: orDefault(options.clientUri, CLIENT_DEFAULTS.clientUri),
    policyUri: orDefault(options.policyUri, CLIENT_DEFAULTS.policyUri),
    tosUri: orDefault(options.tosUri, CLIENT_DEFAULTS.tosUri),
    firstParty: options.firstParty,
    requirePushedRequests: options.requirePushedRequests,
    requireSignedRequests: options.requireSignedRequests,
    requireSecondFactor: options.requireSecondFactor,
  }
  const changes = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...client, ...keys, ...Object.fromEntries(changes) }
}

function changedLists(client: New<Client>, options: ClientOptions): Partial<New<Client>> {
  const names = Object.keys(LISTS) as (keyof typeof LISTS)[]
  return Object.fromEntries(names.map((name) => [name, changedList(LISTS[name], client[name], options)]))
}

const orDefault = <T, D>(given: T | false, fallback: D): T | D => (given === false ? fallback : given)

function readJwks({ io, note }: Context, name: string) {
  const file = resolve(io.cwd, name)
  let text: string
  try {
    text = readText(file)
  } catch (error) {
    throw new UsageError(`${file} ${whyUnreadable(error)}`)
  }
  try {
    const document = JSON.parse(text)
    const jwks = parseClientJwks(document)
    const leftOut = document.keys.length - jwks.keys.length
    if (leftOut > 0)
      note(`${count(leftOut, 'key')} of another kind in ${file} ${leftOut === 1 ? 'was' : 'were'} left out`)
    return jwks
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${file} is not JSON`)
    throw error
  }
}
