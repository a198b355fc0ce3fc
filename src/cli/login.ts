import { resolve } from 'node:path'
import { SERVER_VARIABLE } from '../config/load.ts'
import type { Seconds } from '../system.ts'
import {
  action,
  type CommandFactory,
  type Context,
  durationOption,
  examples,
  fileName,
  type Json,
  UsageError,
} from './context.ts'
import type { Io } from './io.ts'
import { record } from './output.ts'
import { serverUrl } from './remote/server-url.ts'
import type { StoredSession } from './remote/session-file.ts'

interface LoginOptions extends Json {
  readonly clientId?: string
  readonly clientSecretFile?: string
  readonly api?: string
  readonly timeout: Seconds
}

const TIMEOUT: Seconds = 600

export const loginCommand: CommandFactory = (context) =>
  examples(
    action('login', 'sign in to a server, to administer it with --server')
      .argument('[issuer]', 'issuer URL of the server; default: that of --server')
      .option('--client-id <id>', 'sign in as this client, for programs')
      .option(
        '--client-secret-file <file>',
        'file with the secret of the client, which later commands read again',
        fileName,
      )
      .option('--api <url>', 'where the administration API is, if it has a port of its own')
      .option(
        '--timeout <duration>',
        'how long to wait for the browser; default 10m',
        durationOption('1s', '1h'),
      )
      .action((issuer: string | undefined, options: LoginOptions) => login(context, issuer, options)),
    'login https://auth.example',
    'login https://auth.example --client-id deploy --client-secret-file deploy.secret',
  )

async function login(context: Context, issuer: string | undefined, options: LoginOptions): Promise<void> {
  const { io } = context
  const { clientId, clientSecretFile, api, timeout = TIMEOUT } = options
  if ((clientId === undefined) !== (clientSecretFile === undefined))
    throw new UsageError('--client-id and --client-secret-file belong together')
  const server = issuerOf(context, issuer)
  const machine =
    clientId === undefined || clientSecretFile === undefined
      ? undefined
      : { client_id: clientId, client_secret_file: resolve(io.cwd, clientSecretFile) }
  const { signIn } = await import('./remote/sign-in.ts')
  const { session, scopes, user } = await signIn(io, {
    server,
    machine,
    api: api === undefined ? undefined : serverUrl(api, '--api'),
    timeout,
    announce(url) {
      io.err(`Sign in at ${server} in a browser on this machine:\n\n  ${url}\n\n`)
      io.openBrowser?.(url)
      io.progress('waiting for the browser …')
    },
  })
  io.progress('')
  const username = user !== null && scopes.includes('admin:read') ? await usernameOf(io, session, user) : null
  const view = { server: session.issuer, user, username, client_id: session.client_id, scopes }
  context.print(options, view, `signed in\n${record(view)}`)
}

/** null if the server does not say. The sign-in has succeeded in any case. */
async function usernameOf(io: Io, { issuer }: StoredSession, id: string): Promise<string | null> {
  const { openRemoteAdmin } = await import('./remote/open-remote-admin.ts')
  try {
    const { items } = await openRemoteAdmin(io, issuer).users.list({ search: id, limit: 1 })
    return items.find((user) => user.id === id)?.username ?? null
  } catch {
    return null
  }
}

/** @throws {UsageError | InvalidServer} */
export function issuerOf({ server }: Context, argument: string | undefined): string {
  if (argument !== undefined) return serverUrl(argument, 'the issuer')
  if (server) return server.url
  throw new UsageError(
    `name the server by its issuer URL, such as https://auth.example, or set ${SERVER_VARIABLE}`,
  )
}
