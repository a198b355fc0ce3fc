/** The options of `clients create` and `clients update`, and how they are applied to a client. */
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { ClientChangeView, ClientView } from '../admin/clients.schema.ts'
import { METHOD_NAMES } from '../oauth/client-auth/index.ts'
import { AUTH_METHOD_WITH_KEYS, CLIENT_DEFAULTS } from '../oauth/client-registration/client-defaults.ts'
import { parseClientJwks } from '../oauth/client-registration/client-jwks.ts'
import { GRANT_NAMES } from '../oauth/grants/index.ts'
import type { Client, PkcePolicy } from '../store/contracts/clients.ts'
import { readText, whyUnreadable } from '../text.ts'
import { type AccessTokenTtl, accessTokenTtlOption, ttlOf } from './access-token-ttl.ts'
import {
  SECURITY_VALUES,
  type SecurityOptions,
  securityOptions,
  securityResetOptions,
} from './client-security-options.ts'
import { type Context, collect, collectWords, fileName, type Json, UsageError } from './context.ts'
import { changedList, type ListOption, listChanges } from './list-options.ts'
import { allowUnownedOption, type ScopeChoice } from './scope-owners.ts'

export interface ClientOptions extends Json, ScopeChoice, SecurityOptions {
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
  const withGeneral = command
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
        `client authentication (default of a new client: ${CLIENT_DEFAULTS.authMethod}, or ${AUTH_METHOD_WITH_KEYS} if keys are given)`,
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
        'whether every request must use PKCE; "optional", the default of a new client unless --auth is none, also accepts the scope openid with a nonce',
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
  return securityOptions(withGeneral)
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
    'return the claims of profile, email and roles only at userinfo',
  )
}

/** Options of `update` that restore a default. */
export function resetOptions(command: Command): Command {
  const withGeneral = noClaimsInIdToken(
    command.option(
      '--claims-in-id-token',
      'return the claims of profile, email and roles in ID tokens too (default)',
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
  return securityResetOptions(withGeneral)
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
 * Reads the files that the options name, and returns the change that the options describe: all other members are unchanged. The
 * change can be made again from a newer state of the client (admin/revision.ts).
 */
export function readOptions(
  options: ClientOptions,
  context: Context,
): (client: ClientView | null) => ClientChangeView {
  const jwks = options.jwksFile === undefined ? {} : { jwks: readJwks(context, options.jwksFile) }
  return (client) => ({ ...changeOf(client, options), ...jwks })
}

/** The options whose values are those of the request. false restores the default. */
const VALUES = {
  name: 'client_name',
  auth: 'token_endpoint_auth_method',
  jwksUri: 'jwks_uri',
  pkce: 'pkce',
  claimsInIdToken: 'claims_in_id_token',
  rolesClaim: 'roles_claim',
  acceptEndpointAudience: 'accept_endpoint_audience',
  firstParty: 'first_party',
  requirePushedRequests: 'require_pushed_authorization_requests',
  requireSignedRequests: 'require_signed_request_object',
  requireSecondFactor: 'require_second_factor',
  requireDpop: 'dpop_bound_access_tokens',
  requireMtlsBound: 'tls_client_certificate_bound_access_tokens',
} as const satisfies Partial<Record<keyof ClientOptions, keyof ClientChangeView>>

/** Options whose `--no-…` removes the value. */
const REMOVABLE = {
  backchannelLogoutUri: 'backchannel_logout_uri',
  logoUri: 'logo_uri',
  clientUri: 'client_uri',
  policyUri: 'policy_uri',
  tosUri: 'tos_uri',
  ...SECURITY_VALUES,
} as const satisfies Partial<Record<keyof ClientOptions, keyof ClientChangeView>>

function changeOf(client: ClientView | null, options: ClientOptions): ClientChangeView {
  const values = Object.entries(VALUES).map(([option, name]) => [
    name,
    options[option as keyof typeof VALUES],
  ])
  const removable = Object.entries(REMOVABLE).map(([option, name]) => {
    const value = options[option as keyof typeof REMOVABLE]
    return [name, value === false ? null : value]
  })
  const given = [...values, ...removable, ['access_token_ttl', ttlOf(options.accessTokenTtl)]].filter(
    ([, value]) => value !== undefined,
  )
  return { ...Object.fromEntries(given), ...changedLists(client, options) }
}

function changedLists(client: ClientView | null, options: ClientOptions): ClientChangeView {
  const changed = (name: keyof typeof LISTS, current: readonly string[] = []) =>
    changedList(LISTS[name], current, options)
  return {
    grant_types: changed('grants', client?.grant_types),
    scope: changed('scopes', client?.scope.split(' ').filter(Boolean)).join(' '),
    redirect_uris: changed('redirectUris', client?.redirect_uris),
    post_logout_redirect_uris: changed('postLogoutRedirectUris', client?.post_logout_redirect_uris),
    introspects: changed('introspects', client?.introspects),
  }
}

/** @throws {RegistrationError} for a private key, which must not leave this machine */
function readJwks({ io }: Context, name: string): NonNullable<ClientChangeView['jwks']> {
  const file = resolve(io.cwd, name)
  let text: string
  try {
    text = readText(file)
  } catch (error) {
    throw new UsageError(`${file} ${whyUnreadable(error)}`)
  }
  try {
    const document = JSON.parse(text)
    parseClientJwks(document)
    return { keys: document.keys }
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${file} is not JSON`)
    throw error
  }
}
