/** Whether the server that answers at the issuer, if one does, publishes the keys of this store. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Config } from '../config/load.ts'
import { JWKS_PATH } from '../http/routes.ts'
import { issuerBase } from '../issuer-path.ts'
import { LISTENING_POLL_INTERVAL_MS } from '../node/change-poller.ts'

const TIMEOUT_MS = 3000
/** A server has polled the store by then. */
const FOLLOWS_MS = 2 * LISTENING_POLL_INTERVAL_MS
const RETRY_MS = 150

/** Nobody is there, which is no fault; anything else, such as a bad certificate, is one. */
const NOBODY = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']

/** @param published the kids of this store; null if it cannot say */
export async function checkServer(
  config: Config,
  published: readonly string[] | null,
): Promise<readonly [string]> {
  const url = issuerBase(config.issuer) + JWKS_PATH
  let served = await fetchKids(url)
  if (served === null) return [`not running, or not to be reached from here, at ${config.issuer}`]
  if (published === null) return [`something runs at ${config.issuer}; its keys cannot be compared`]
  const deadline = performance.now() + FOLLOWS_MS
  while (!same(served, published) && performance.now() < deadline) {
    await pause(RETRY_MS)
    served = (await fetchKids(url)) ?? []
  }
  if (!same(served, published)) {
    throw new Error(`${url} has other keys than this store: another server answers there, or it is stuck`)
  }
  return [`it runs at ${config.issuer} and publishes the keys of this store`]
}

async function fetchKids(url: string): Promise<string[] | null> {
  let response: Response
  try {
    response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) })
  } catch (error) {
    if (isNobody(error)) return null
    const { message, cause } = error as Error
    throw new Error(`${url} cannot be fetched: ${cause instanceof Error ? cause.message : message}`)
  }
  const document = response.status === 200 ? await response.json().catch(() => null) : null
  const keys = (document as { keys?: { kid?: string }[] } | null)?.keys
  if (!Array.isArray(keys)) {
    throw new Error(`${url} answers ${response.status}, not a JWKS: something else is there`)
  }
  return keys.map((key) => String(key?.kid))
}

function isNobody(error: unknown): boolean {
  if ((error as Error).name === 'TimeoutError') return true
  const { cause } = error as { cause?: { code?: string; errors?: { code?: string }[]; message?: string } }
  // A port that fetch refuses to ask has no server behind it either, e.g. KEYTURN_PORT=0.
  if (cause?.message === 'bad port') return true
  const codes = [cause?.code, ...(cause?.errors ?? []).map(({ code }) => code)]
  return codes.some((code) => code !== undefined && NOBODY.includes(code))
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((kid) => b.includes(kid))
}
