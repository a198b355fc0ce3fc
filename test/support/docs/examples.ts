/** The examples started as their READMEs describe, and users for them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Store } from '../../../src/store/index.ts'
import type { Owner } from '../processes/data-folder.ts'
import { client, ORDERS, seed, user } from '../server/seed.ts'
import { until } from '../server/waiting.ts'
import { root } from './documents.ts'

interface Started {
  /** A program in the folder of the example. Default: server.ts. */
  readonly program?: string
  readonly env?: Readonly<Record<string, string>>
}

/** @returns the URL of the example @throws {Error} if it ends before it has printed one */
export async function startExample(
  owner: Owner,
  name: string,
  issuer: string,
  { program = 'server.ts', env = {} }: Started = {},
): Promise<string> {
  const settings = { ...process.env, ISSUER: issuer, AUDIENCE: ORDERS, PORT: '0', ...env }
  const file = join(root, 'examples', name, program)
  const child = spawn(process.execPath, [file], { env: settings, stdio: ['ignore', 'pipe', 'inherit'] })
  owner.teardown(() => child.kill())
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${name}/${program} ended with ${code ?? signal}`)
  })
  ended.catch(() => {})
  const [line] = (await Promise.race([once(child.stdout, 'data'), ended])) as [Buffer]
  return /http:\S+/.exec(line.toString())?.[0] ?? ''
}

/** Resolves when the example has the keys of the issuer: it starts without them, and a busy issuer may respond later than it waits. */
export const hasKeys = (call: () => Promise<Response>): Promise<void> =>
  until(async () => (await call()).status !== 503)

/** In addition to `seed`: `reader`, a client that may only read, and bob, a manager. */
export async function seedExample(store: Store): Promise<void> {
  await seed(store)
  await store.clients.insert(client({ id: 'reader', scopes: ['orders:read'] }))
  await store.roles.insert({
    name: 'manager',
    scopes: ['orders:read', 'orders:write'],
    requireSecondFactor: false,
    createdAt: 1,
  })
  await store.users.insert(await user({ username: 'bob', roles: ['manager'] }))
}
