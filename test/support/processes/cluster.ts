/** Several `keyturn serve`, each a process of its own, on one store: a database of PostgreSQL, or one file of SQLite. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../../../src/store/index.ts'
import type { Served } from '../browser/browser.ts'
import { overHttp } from '../server/http-inject.ts'
import { seed } from '../server/seed.ts'
import { emptyFolder, type Folder, type Inside, type Owner, withInside } from './data-folder.ts'
import { keyturn, type ProcessOptions, type Result, type ServerProcess, startServer } from './process.ts'

interface ClusterOptions {
  /** URL of a database of PostgreSQL; without it all nodes share a file of SQLite. */
  readonly database?: string
  readonly nodes?: number
  /** Settings of every node and command, without the prefix. */
  readonly settings?: Record<string, string>
  /** Fills the store before anybody serves; null leaves it as it is. */
  readonly fill?: ((store: Store) => Promise<unknown>) | null
}

export interface ClusterNode extends ServerProcess {
  /** For a browser: no redirect is followed, every header is seen. */
  readonly served: Served
}

export interface Cluster {
  /** Of all nodes and commands: the settings with the database, the master key and the issuer. */
  readonly folder: Folder
  readonly issuer: string
  /** As they were started; who was stopped or killed stays in it. */
  readonly nodes: readonly ClusterNode[]
  /** The nth request's node, in turns. */
  at(n: number): ClusterNode
  /** One more, ready to serve. */
  start(options?: ProcessOptions): Promise<ClusterNode>
  /** A command in a process of its own. */
  run(args: readonly string[], options?: ProcessOptions): Promise<Result>
  /** The same with `--json`, for one that must succeed. */
  json<T = Record<string, unknown>>(args: readonly string[], options?: ProcessOptions): Promise<T>
  /** Opens the store, and the keys, as a command does; closed afterwards. */
  inside<T>(work: (inside: Inside) => Promise<T>): Promise<T>
  /** Resolves with how many milliseconds it took until this was so at every node; throws after `limitMs`. */
  everywhere(what: (node: ClusterNode) => Promise<boolean>, limitMs?: number): Promise<number>
}

const ISSUER = 'http://localhost:3000'

/** All nodes are started at the same moment; resolves when each of them says that it is ready. */
export async function startCluster(owner: Owner, options: ClusterOptions = {}): Promise<Cluster> {
  const { database, nodes: count = 3, fill = seed } = options
  const folder = emptyFolder(owner, {
    ...(database === undefined ? {} : { DATABASE_URL: database }),
    MASTER_KEY: randomBytes(32).toString('base64url'),
    ISSUER,
    ...options.settings,
  })
  const issuer = folder.settings.ISSUER ?? ISSUER
  const nodes: ClusterNode[] = []

  async function start(more?: ProcessOptions): Promise<ClusterNode> {
    const server = await startServer(owner, folder, more)
    const node = { ...server, served: { ...overHttp(server.url), config: { issuer } } }
    while ((await node.inject({ url: '/health/ready' })).statusCode !== 200) await sleep(20)
    nodes.push(node)
    return node
  }

  if (fill) await withInside(folder, ({ store }) => fill(store))
  await Promise.all(Array.from({ length: count }, () => start()))

  return {
    folder,
    issuer,
    nodes,
    at(n) {
      const node = nodes[n % nodes.length]
      if (!node) throw new Error('nobody serves')
      return node
    },
    start,
    run: (args, more) => keyturn(folder, args, more),
    async json<T>(args: readonly string[], more?: ProcessOptions) {
      const { code, signal, stdout, stderr } = await keyturn(folder, [...args, '--json'], more)
      if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code ?? signal}: ${stderr}`)
      return JSON.parse(stdout) as T
    },
    inside: (work) => withInside(folder, work),
    async everywhere(what, limitMs = 10_000) {
      const from = performance.now()
      const passed = () => performance.now() - from
      await Promise.all(
        nodes.map(async (node) => {
          while (!(await what(node))) {
            if (passed() > limitMs) throw new Error(`not at ${node.url} after ${Math.round(passed())} ms`)
            await sleep(10)
          }
        }),
      )
      return passed()
    },
  }
}
