/** The options of `clients create` and `clients update`, and the registration that they describe. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { METHOD_NAMES } from '../oauth/client-auth/index.ts'
import { parseClientJwks } from '../oauth/client-jwks.ts'
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
      new Option('--jwks-file <file>', 'its public keys, a JWK Set, for private_key_jwt').conflicts(
        'jwksUri',
      ),
    )
    .option('--jwks-uri <url>', 'where its public keys are to be had, for private_key_jwt')
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
  const given = {
    name: options.name,
    grants: options.grant,
    scopes: options.scope,
    redirectUris: options.redirectUri,
    authMethod: options.auth ?? ('jwks' in keys ? 'private_key_jwt' : undefined),
    pkce: options.pkce,
    accessTokenTtl: ownTtl(options.accessTokenTtl, client.accessTokenTtl),
    acceptEndpointAudience: options.acceptEndpointAudience,
    introspects: options.introspects,
  }
  const said = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...client, ...keys, ...Object.fromEntries(said) }
}

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
