/** Several `keyturn serve`, each in its own process, on one store: a PostgreSQL database or one SQLite file. */
import { randomBytes } from 'node:crypto'
import type { Store } from '../../../src/store/index.ts'
import type { Served } from '../browser/browser.ts'
import { overHttp } from '../server/http-inject.ts'
import { seed } from '../server/seed.ts'
import { until } from '../server/waiting.ts'
import { emptyFolder, type Folder, type OpenedFolder, type Owner, withOpened } from './data-folder.ts'
import { keyturn, type ProcessOptions, type Result, type ServerProcess, startServer } from './process.ts'

interface ClusterOptions {
  /** URL of a PostgreSQL database; without it all nodes share a SQLite file. */
  readonly database?: string
  readonly nodes?: number
  /** Settings of every node and command, without the prefix. */
  readonly settings?: Record<string, string>
  /** Fills the store before any node serves; null leaves it empty. */
  readonly fill?: ((store: Store) => Promise<unknown>) | null
}

export interface ClusterNode extends ServerProcess {
  /** For a browser: redirects are not followed, and every header is visible. */
  readonly served: Served
}

export interface Cluster {
  /** The settings of all nodes and commands with the database, the master key and the issuer. */
  readonly folder: Folder
  readonly issuer: string
  /** In the order in which they were started, including stopped and killed ones. */
  readonly nodes: readonly ClusterNode[]
  /** The node for the nth request, in turns. */
  at(n: number): ClusterNode
  /** One more node, ready to serve. */
  start(options?: ProcessOptions): Promise<ClusterNode>
  /** Runs a command in a separate process. */
  run(args: readonly string[], options?: ProcessOptions): Promise<Result>
  /** Runs a command with `--json` that must succeed. */
  json<T = Record<string, unknown>>(args: readonly string[], options?: ProcessOptions): Promise<T>
  /** Opens the store and the keys as a command does, and closes them afterwards. */
  withOpened<T>(work: (opened: OpenedFolder) => Promise<T>): Promise<T>
  /** Resolves when the condition was true at every node. How long that takes depends on the machine. */
  everywhere(what: (node: ClusterNode) => Promise<boolean>): Promise<void>
}

const ISSUER = 'http://localhost:3000'

/** Starts all nodes at the same moment; resolves when each of them is ready. */
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
    await until(async () => (await node.inject({ url: '/health/ready' })).statusCode === 200)
    nodes.push(node)
    return node
  }

  if (fill) await withOpened(folder, ({ store }) => fill(store))
  await Promise.all(Array.from({ length: count }, () => start()))

  return {
    folder,
    issuer,
    nodes,
    at(n) {
      const node = nodes[n % nodes.length]
      if (!node) throw new Error('no node serves')
      return node
    },
    start,
    run: (args, more) => keyturn(folder, args, more),
    async json<T>(args: readonly string[], more?: ProcessOptions) {
      const { code, signal, stdout, stderr } = await keyturn(folder, [...args, '--json'], more)
      if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code ?? signal}: ${stderr}`)
      return JSON.parse(stdout) as T
    },
    withOpened: (work) => withOpened(folder, work),
    async everywhere(what) {
      await Promise.all(nodes.map((node) => until(() => what(node))))
    },
  }
}
