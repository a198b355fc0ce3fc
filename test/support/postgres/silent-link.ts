/** A connection to the database that can go silent, as behind a firewall that has forgotten it. */
import type { Owner } from '../processes/data-folder.ts'
import { startProxy } from './proxy.ts'

export interface SilentLink {
  readonly url: string
  /** From now on, nothing comes through the connections that are open. New connections work. */
  silence(): void
  /** How many connections are open to the proxy. */
  open(): number
  /** How many silent connections the client has used since. */
  tried(): number
}

export async function silentLink(owner: Owner, url: string): Promise<SilentLink> {
  const open = new Set<{ silent: boolean }>()
  const tried = new Set<{ silent: boolean }>()
  const proxy = await startProxy(owner, url, (client, server) => {
    const connection = { silent: false }
    open.add(connection)
    client.on('close', () => open.delete(connection))
    client.on('data', (bytes) => {
      if (connection.silent) tried.add(connection)
      else server.write(bytes)
    })
    server.on('data', (bytes) => {
      if (!connection.silent) client.write(bytes)
    })
  })
  return {
    url: proxy.url,
    silence() {
      for (const connection of open) connection.silent = true
    },
    open: () => open.size,
    tried: () => tried.size,
  }
}
