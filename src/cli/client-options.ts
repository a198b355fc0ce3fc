/** The options of `clients create` and `clients update`, and the registration that they describe. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { METHOD_NAMES } from '../oauth/client-auth/index.ts'
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
  /** false: none any more. */
  readonly postLogoutRedirectUri?: string[] | false
  readonly backchannelLogoutUri?: string | false
  readonly firstParty?: boolean
  readonly requirePushedRequests?: boolean
  readonly requireSignedRequests?: boolean
  readonly requireSecondFactor?: boolean
}

/** What may be said of a client both when it is made and later. */
export function clientOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--grant <grant>',
        `what it may do, repeat it for more: ${GRANT_NAMES.join(', ')}`,
      ).argParser(oneOrMoreOf(GRANT_NAMES)),
    )
    .option('--scope <scopes>', 'what it may ask for: "a b", or repeated', collectWords)
    .option('--redirect-uri <uri>', 'where codes may be sent; repeat it for more', collect)
    .addOption(
      new Option('--auth <method>', 'how it proves who it is; with keys private_key_jwt').choices(
        METHOD_NAMES,
      ),
    )
    .addOption(
      new Option(
        '--jwks-file <file>',
        'its public keys, a JWK Set, for private_key_jwt and signed requests',
      ).conflicts('jwksUri'),
    )
    .option('--jwks-uri <url>', 'where its public keys are to be had')
    .option('--secret-stdin', 'a secret of your choice, from standard input')
    .addOption(
      new Option('--pkce <policy>', 'whether codes need PKCE (default: required)').choices([
        'required',
        'optional',
      ]),
    )
    .addOption(accessTokenTtlOption())
    .option('--accept-endpoint-audience', 'its assertions may name the endpoint instead of the issuer')
    .option('--introspects <api>', 'it is the server of this API and may introspect its tokens', collectWords)
    .option(
      '--post-logout-redirect-uri <uri>',
      'where browsers may be sent after sign-out; repeat it for more',
      (uri, before?: string[] | false) => collect(uri, before || []),
    )
    .option('--backchannel-logout-uri <url>', 'where it is told that somebody signed out')
    .option('--first-party', 'it is of your own house: people are not asked whether they allow it')
    .option('--require-pushed-requests', 'its authorization requests must be pushed (RFC 9126)')
    .option('--require-signed-requests', 'its authorization requests must be signed (RFC 9101)')
    .option('--require-second-factor', 'its users must sign in with a second factor')
}

/** What takes back what was said before. */
export function undoingOptions(command: Command): Command {
  return command
    .option('--no-accept-endpoint-audience', 'only the issuer again')
    .option('--no-post-logout-redirect-uri', 'browsers are sent nowhere after sign-out')
    .option('--no-backchannel-logout-uri', 'it is told no more')
    .option('--no-first-party', 'people are asked')
    .option('--no-require-pushed-requests', 'they need not be pushed')
    .option('--no-require-signed-requests', 'they need not be signed')
    .option('--no-require-second-factor', 'a password is enough')
}

function oneOrMoreOf(names: readonly string[]) {
  return (value: string, before?: string[]): string[] => {
    const words = collectWords(value, before)
    const unknown = words.find((word) => !names.includes(word))
    if (unknown !== undefined) throw new InvalidArgumentError(`Allowed choices are ${names.join(', ')}.`)
    return words
  }
}

/** The client as it will be with what the options say; what they leave out stays as it is. */
export function withOptions(client: Client, options: ClientOptions, io: Io): Client {
  const keys =
    options.jwksFile !== undefined
      ? { jwks: readJwks(resolve(io.cwd, options.jwksFile)), jwksUri: null }
      : options.jwksUri !== undefined
        ? { jwks: null, jwksUri: options.jwksUri }
        : {}
  // Whoever has had keys beside another way to authenticate has them for signed requests.
  const firstKeys = 'jwks' in keys && client.jwks === null && client.jwksUri === null
  const given = {
    name: options.name,
    grants: options.grant,
    scopes: options.scope,
    redirectUris: options.redirectUri,
    authMethod: options.auth ?? (firstKeys ? 'private_key_jwt' : undefined),
    pkce: options.pkce,
    accessTokenTtl: ownTtl(options.accessTokenTtl, client.accessTokenTtl),
    acceptEndpointAudience: options.acceptEndpointAudience,
    introspects: options.introspects,
    postLogoutRedirectUris: orNothing(options.postLogoutRedirectUri, []),
    backchannelLogoutUri: orNothing(options.backchannelLogoutUri, null),
    firstParty: options.firstParty,
    requirePushedRequests: options.requirePushedRequests,
    requireSignedRequests: options.requireSignedRequests,
    requireSecondFactor: options.requireSecondFactor,
  }
  const said = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...client, ...keys, ...Object.fromEntries(said) }
}

const orNothing = <T, N>(given: T | false, nothing: N): T | N => (given === false ? nothing : given)

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
