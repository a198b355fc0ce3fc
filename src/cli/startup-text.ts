/** What `serve` prints when it serves. */
import { ADMIN_PATH, COMMAND_LINE_CLIENT } from '../admin/built-ins.ts'
import { commandLine } from '../command-line.ts'
import { hostAndPort } from '../ip-address.ts'
import { issuerBase, issuerPath } from '../issuer-path.ts'
import type { Server } from '../node/server.ts'
import { version } from '../version.ts'
import type { Context, Json } from './context.ts'

/** Absent if there is no such port. */
interface Ports {
  readonly metricsPort: number | undefined
  readonly adminPort: number | undefined
}

/** Announces the ports, and to a new operator the first commands. */
export async function printStartup(
  context: Context,
  options: Json,
  { base, keys }: Server,
  { metricsPort, adminPort }: Ports,
): Promise<void> {
  const { config, store } = base
  const url = issuerBase(config.issuer)
  const oldest = await store.clients.page(null, 2)
  const registered = oldest.filter(({ id }) => id !== COMMAND_LINE_CLIENT)
  const isNew = keys.firstStart || registered.length === 0
  const lines = [`Keyturn ${version} serves ${config.issuer} on ${hostAndPort(config.host, config.port)}`]
  if (metricsPort !== undefined) lines.push(`Metrics are on ${hostAndPort(config.host, metricsPort)}/metrics`)
  if (adminPort !== undefined)
    lines.push(
      `Administration is on ${hostAndPort(config.host, adminPort)}${issuerPath(config.issuer)}${ADMIN_PATH}`,
    )
  if (config.mtlsPort !== null)
    lines.push(`Client certificates are accepted on ${hostAndPort(config.host, config.mtlsPort)}`)
  if (isNew) lines.push('', 'For a first token, in another terminal:', '', ...firstCommands(url), '')
  if (isNew)
    lines.push('To sign users in, see docs/sign-in.md. Their account page is at', `${url}/account`, '')
  const value = {
    issuer: config.issuer,
    host: config.host,
    port: config.port,
    ...(config.mtlsPort === null ? {} : { mtls_port: config.mtlsPort }),
    ...(metricsPort === undefined ? {} : { metrics_port: metricsPort }),
    ...(adminPort === undefined ? {} : { admin_port: adminPort }),
    first_start: keys.firstStart,
  }
  context.print(options, value, lines.join('\n'))
}

/** The first three commands for a new operator. A test runs them. */
function firstCommands(url: string): string[] {
  return [
    `  ${commandLine('apis create https://orders.example --scope orders:read')}`,
    `  ${commandLine('clients create --name hello --id hello --grant client_credentials --scope orders:read --env hello.env')}`,
    `  . ./hello.env && curl -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials ${url}/oauth2/token`,
  ]
}
