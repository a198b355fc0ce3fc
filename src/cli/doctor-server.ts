/** Checks that the server, if one is running, is ready and publishes the keys of this store. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config/load.ts'
import { JWKS_PATH } from '../http/routes.ts'
import { issuerBase, issuerPath } from '../issuer-path.ts'
import { STALE_AFTER_MS } from '../node/staleness.ts'
import { fetchLocal, localIssuer, localUrl } from './local-server.ts'

const TIMEOUT_MS = 10_000
/** By then a running server has polled the store before it answered. */
const UPDATE_TIMEOUT_MS = STALE_AFTER_MS
const RETRY_INTERVAL_MS = 150

/**
 * Errors that mean that no server is running, which is not a fault. All other errors, such as an invalid certificate, are faults.
 */
const UNREACHABLE = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']

/**
 * @param published the kids of this store; null if unknown
 * @param nodes the names of the nodes that are serving according to their heartbeats in this store
 */
export async function checkServer(
  config: Config,
  published: readonly string[] | null,
  nodes: readonly string[],
): Promise<readonly [string]> {
  const base = issuerBase(config.issuer)
  const isHere = config.port !== 0 && (await localIssuer(config)) === config.issuer
  if (isHere) await assertReady(config)
  const publicJwks: Jwks = {
    url: base + JWKS_PATH,
    request: () => fetch(base + JWKS_PATH, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) }),
  }
  const isPublic = (await fetchKids(publicJwks)) !== null
  // The name of the issuer may lead to a proxy that only others can reach.
  if (!isPublic && !isHere) return [notReached(config, nodes)]
  const localPath = issuerPath(config.issuer) + JWKS_PATH
  const jwks: Jwks = isPublic
    ? publicJwks
    : { url: localUrl(config) + localPath, request: () => fetchLocal(config, localPath) }
  const where = isPublic
    ? `running at ${config.issuer}`
    : `running at ${localUrl(config)}, and ${config.issuer} is not reachable from here`
  if (published === null) return [`${where}; its keys cannot be compared with this store`]
  let served = await fetchKids(jwks)
  const deadline = performance.now() + UPDATE_TIMEOUT_MS
  while (!sameKids(served ?? [], published) && performance.now() < deadline) {
    await sleep(RETRY_INTERVAL_MS)
    served = await fetchKids(jwks)
  }
  if (!sameKids(served ?? [], published)) {
    throw new Error(
      `${jwks.url} has other keys than this store: it is another server, or it no longer reads the store`,
    )
  }
  return [`${where}; it publishes the keys of this store`]
}

function notReached({ issuer }: Config, nodes: readonly string[]): string {
  return nodes.length === 0
    ? `not running at ${issuer}, or not reachable from here`
    : `running according to its heartbeat (${nodes.join(', ')}), and not reachable from here at ${issuer}`
}

/** A server that cannot use its store answers all the same. */
async function assertReady(config: Config): Promise<void> {
  const response = await fetchLocal(config, '/health/ready')
  await response.body?.cancel()
  if (response.ok) return
  throw new Error(
    `the server at ${localUrl(config)} runs, but is not ready (${response.status}): its log says why`,
  )
}

interface Jwks {
  readonly url: string
  readonly request: () => Promise<Response>
}

async function fetchKids({ url, request }: Jwks): Promise<string[] | null> {
  let response: Response
  try {
    response = await request()
  } catch (error) {
    if (isUnreachable(error)) return null
    const { message, cause } = error as Error
    throw new Error(`${url} cannot be fetched: ${cause instanceof Error ? cause.message : message}`)
  }
  const document = response.status === 200 ? await response.json().catch(() => null) : null
  const keys = (document as { keys?: { kid?: string }[] } | null)?.keys
  if (!Array.isArray(keys)) {
    throw new Error(`${url} answers ${response.status} without a JWKS: another program is running there`)
  }
  return keys.map((key) => String(key?.kid))
}

function isUnreachable(error: unknown): boolean {
  if ((error as Error).name === 'TimeoutError') return true
  const { cause } = error as { cause?: { code?: string; errors?: { code?: string }[]; message?: string } }
  // fetch refuses some ports, e.g. that of KEYTURN_PORT=0; no server is running there either.
  if (cause?.message === 'bad port') return true
  const codes = [cause?.code, ...(cause?.errors ?? []).map(({ code }) => code)]
  return codes.some((code) => code !== undefined && UNREACHABLE.includes(code))
}

function sameKids(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((kid) => b.includes(kid))
}
