/** The ports of a server: takes them, and says who has them if they are taken. Must not know what is served. */
import { type AddressInfo, createServer } from 'node:net'
import { type Config, onPort } from '../config/load.ts'
import { hostAndPort } from '../ip-address.ts'
import { CommandError } from './context.ts'
import { localIssuer } from './local-server.ts'

interface Reserved {
  readonly config: Config
  /** Frees the ports, so that the server can listen on them. */
  release(): Promise<void>
}

/**
 * With KEYTURN_PORT=0 or KEYTURN_MTLS_PORT=0, finds a free port and holds it until the server listens. The issuer and the metadata
 * contain the ports, so they must be known before the server is created, and generating the first keys takes long enough for another
 * program to take a port.
 */
export async function reservePorts(config: Config): Promise<Reserved> {
  const main = config.port === 0 ? await reserve(config.host) : null
  const mtls = config.mtlsPort === 0 ? await reserve(config.host) : null
  const withMain = main ? onPort(config, main.port) : config
  return {
    config: mtls ? Object.freeze({ ...withMain, mtlsPort: mtls.port }) : withMain,
    async release() {
      await main?.release()
      await mtls?.release()
    },
  }
}

async function reserve(host: string): Promise<{ readonly port: number; release(): Promise<void> }> {
  const reservation = createServer()
  await new Promise<void>((resolve, reject) => {
    reservation.once('error', reject)
    reservation.listen(0, host, resolve)
  })
  // The reserved port must not keep the process alive if the start fails.
  reservation.unref()
  const { port } = reservation.address() as AddressInfo
  return { port, release: () => new Promise((resolve) => reservation.close(() => resolve())) }
}

interface ListenAt {
  readonly port: number
  /** The setting that the port comes from. */
  readonly setting: string
}

interface Listener {
  listen(address: { readonly host: string; readonly port: number }): Promise<unknown>
}

export async function listenOn<App extends Listener>(
  app: App,
  config: Config,
  { port, setting }: ListenAt,
): Promise<App> {
  const { host } = config
  try {
    await app.listen({ host, port })
    return app
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const address = hostAndPort(host, port)
    if (code !== 'EADDRINUSE') throw new CommandError(`${address}: ${message}`)
    // The metrics port is opened before the main port, so a second start of this server can fail at either of them.
    if ((await localIssuer(config)) === config.issuer)
      throw new CommandError(
        `Keyturn is already running as ${config.issuer} on ${hostAndPort(host, config.port)}: stop it first, or choose another KEYTURN_PORT`,
      )
    throw new CommandError(`${address} is in use by another program: choose another ${setting}`)
  }
}
