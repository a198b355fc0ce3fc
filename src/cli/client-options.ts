/** The options of `clients create` and `clients update`, and the client that they describe. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { METHOD_NAMES } from '../oauth/client-auth/index.ts'
import { AUTH_METHOD_WITH_KEYS, CLIENT_DEFAULTS } from '../oauth/client-registration/client-defaults.ts'
import { parseClientJwks } from '../oauth/client-registration/client-jwks.ts'
import { GRANT_NAMES } from '../oauth/grants/index.ts'
import type { Client, PkcePolicy } from '../store/contracts/clients.ts'
import { type AccessTokenTtl, accessTokenTtlOption, ownTtl } from './access-token-ttl.ts'
import { collect, collectWords, type Json, UsageError } from './context.ts'
import type { Io } from './io.ts'

export interface ClientOptions extends Json {
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
  readonly acceptEndpointAudience?: boolean
  readonly introspects?: string[]
  /** false: the default again. */
  readonly postLogoutRedirectUri?: string[] | false
  readonly backchannelLogoutUri?: string | false
  readonly firstParty?: boolean
  readonly requirePushedRequests?: boolean
  readonly requireSignedRequests?: boolean
  readonly requireSecondFactor?: boolean
}

/** Options of both `create` and `update`. */
export function clientOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--grant <grant>', `grant it may use, repeatable: ${GRANT_NAMES.join(', ')}`).argParser(
        oneOrMoreOf(GRANT_NAMES),
      ),
    )
    .option('--scope <scopes>', 'scopes it may request: "a b", or repeated', collectWords)
    .option('--redirect-uri <uri>', 'address that codes may be sent to, repeatable', collect)
    .addOption(
      new Option(
        '--auth <method>',
        `authentication method (default: ${CLIENT_DEFAULTS.authMethod}; with keys ${AUTH_METHOD_WITH_KEYS})`,
      ).choices(METHOD_NAMES),
    )
    .addOption(
      new Option(
        '--jwks-file <file>',
        'file with its public keys, a JWK Set, for private_key_jwt and signed requests',
      ).conflicts('jwksUri'),
    )
    .option('--jwks-uri <url>', 'address of its public keys, instead of a file')
    .option('--secret-stdin', 'read a secret of your choice from standard input')
    .addOption(
      new Option('--pkce <policy>', `whether codes need PKCE (default: ${CLIENT_DEFAULTS.pkce})`).choices([
        'required',
        'optional',
      ]),
    )
    .addOption(accessTokenTtlOption())
    .option('--accept-endpoint-audience', 'accept the endpoint’s URL as audience of its client assertions')
    .option('--introspects <api>', 'API whose tokens it may introspect, being its server', collectWords)
    .option(
      '--post-logout-redirect-uri <uri>',
      'address that browsers may be sent to after logout, repeatable',
      (uri, before?: string[] | false) => collect(uri, before || []),
    )
    .option('--backchannel-logout-uri <url>', 'address that is notified when a session ends')
    .option('--first-party', 'first-party client: skip the consent page')
    .option('--require-pushed-requests', 'require pushed authorization requests (RFC 9126)')
    .option('--require-signed-requests', 'require signed authorization requests (RFC 9101)')
    .option('--require-second-factor', 'require a second factor of its users')
}

/** Options of `update` that restore a default. */
export function undoingOptions(command: Command): Command {
  return command
    .option('--no-accept-endpoint-audience', 'accept only the issuer as audience of its client assertions')
    .option('--no-post-logout-redirect-uri', 'remove all addresses to return to after logout')
    .option('--no-backchannel-logout-uri', 'no longer notify it when a session ends')
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

/** The client with the given options applied; every other field stays as it is. */
export function withOptions(client: Client, options: ClientOptions, io: Io): Client {
  const keys =
    options.jwksFile !== undefined
      ? { jwks: readJwks(resolve(io.cwd, options.jwksFile)), jwksUri: null }
      : options.jwksUri !== undefined
        ? { jwks: null, jwksUri: options.jwksUri }
        : {}
  // A client that has keys already and authenticates in another way uses them for signed requests.
  const firstKeys = 'jwks' in keys && client.jwks === null && client.jwksUri === null
  const given = {
    name: options.name,
    grants: options.grant,
    scopes: options.scope,
    redirectUris: options.redirectUri,
    authMethod: options.auth ?? (firstKeys ? AUTH_METHOD_WITH_KEYS : undefined),
    pkce: options.pkce,
    accessTokenTtl: ownTtl(options.accessTokenTtl, client.accessTokenTtl),
    acceptEndpointAudience: options.acceptEndpointAudience,
    introspects: options.introspects,
    postLogoutRedirectUris: orDefault(options.postLogoutRedirectUri, CLIENT_DEFAULTS.postLogoutRedirectUris),
    backchannelLogoutUri: orDefault(options.backchannelLogoutUri, CLIENT_DEFAULTS.backchannelLogoutUri),
    firstParty: options.firstParty,
    requirePushedRequests: options.requirePushedRequests,
    requireSignedRequests: options.requireSignedRequests,
    requireSecondFactor: options.requireSecondFactor,
  }
  const chosen = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...client, ...keys, ...Object.fromEntries(chosen) }
}

const orDefault = <T, D>(given: T | false, fallback: D): T | D => (given === false ? fallback : given)

function readJwks(file: string) {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  try {
    return parseClientJwks(JSON.parse(text))
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${file} is not JSON`)
    throw error
  }
}
