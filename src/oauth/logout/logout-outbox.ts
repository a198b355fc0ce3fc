/**
 * Notifies clients of ended sessions (OpenID Connect Back-Channel Logout). The outbox entry is stored in the batch that ends the
 * session, so a restart loses none. A client that does not respond delays neither the user who signs out nor other clients.
 * Must not know why a session ended.
 */
import type { Audit } from '../../audit/events.ts'
import type { Signer } from '../../keys/signer.ts'
import { singleFlight } from '../../single-flight.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { LogoutOutboxEntry, LogoutOutboxStore } from '../../store/contracts/logout-outbox.ts'
import type { Clock, Logger, Random, Seconds } from '../../system.ts'
import { LOGOUT_TOKEN_TYPE, logoutTokenClaims } from '../../tokens/logout-token.ts'
import { LOGOUT_TOKEN_TTL } from '../lifetimes.ts'
import type { Registry } from '../registry.ts'
import { LogoutTokenRefused, type SendLogoutToken } from './send-logout-token.ts'

export interface LogoutOutbox {
  /** Starts the deliveries that are due, within the limits. Resolves when they have started and does not wait for clients. */
  deliverDue(): Promise<void>
  /** Aborts running deliveries. They are repeated later. */
  stop(): Promise<void>
}

export interface LogoutOutboxDeps {
  readonly logoutOutbox: LogoutOutboxStore
  readonly registry: Pick<Registry, 'client'>
  readonly signer: Pick<Signer, 'sign'>
  readonly send: SendLogoutToken
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly logger: Logger
  readonly issuer: string
}

/** The delays after the first, second, … attempt. */
export const RETRY_DELAYS: readonly Seconds[] = [10, 60, 600, 3600]
const MAX_ATTEMPTS = RETRY_DELAYS.length + 1
export const MAX_DELIVERIES = 64
/** This limit is lower than the total, so that a client that hangs does not block the others. */
export const MAX_DELIVERIES_PER_CLIENT = 2
/**
 * Maximum number of simultaneous deliveries to all clients whose last delivery failed; each such client gets one. So most slots
 * stay free for clients that respond, no matter how many hang.
 */
export const MAX_DELIVERIES_TO_FAILING = 16

export function createLogoutOutbox(deps: LogoutOutboxDeps): LogoutOutbox {
  const { logoutOutbox, registry, clock, audit, logger } = deps
  const stopping = new AbortController()
  const running = new Map<Promise<void>, string>()

  /** Clients whose last delivery by this process failed. */
  const failing = new Set<string>()

  const deliveriesTo = (id: string) => [...running.values()].filter((clientId) => clientId === id).length

  const failingHaveSlots = () =>
    [...running.values()].filter((id) => failing.has(id)).length < MAX_DELIVERIES_TO_FAILING

  function hasSlot(id: string): boolean {
    if (!failing.has(id)) return deliveriesTo(id) < MAX_DELIVERIES_PER_CLIENT
    return deliveriesTo(id) === 0 && failingHaveSlots()
  }

  const deliverDue = singleFlight(startDue)

  async function startDue(): Promise<void> {
    for (;;) {
      const freeSlots = MAX_DELIVERIES - running.size
      if (freeSlots <= 0 || stopping.signal.aborted) return
      const candidates = new Set([...running.values(), ...(failingHaveSlots() ? [] : failing)])
      const busyClients = [...candidates].filter((id) => !hasSlot(id))
      const due = await logoutOutbox.due(clock.now(), freeSlots, busyClients)
      if (due.length === 0) return
      for (const entry of due) await startDelivery(entry)
    }
  }

  async function startDelivery(entry: LogoutOutboxEntry): Promise<void> {
    if (stopping.signal.aborted || !hasSlot(entry.clientId)) return
    const delay = RETRY_DELAYS[Math.min(entry.attempts, RETRY_DELAYS.length - 1)] ?? 0
    // Claimed before the call, so that no two nodes deliver it at once. If this process dies, the entry is due again later.
    if (!(await logoutOutbox.claim(entry, clock.now() + delay))) return
    const delivery = deliver(entry)
      .catch((error) =>
        logger.error({ err: error, sid: entry.clientSessionId }, 'logout token delivery failed'),
      )
      .finally(() => {
        running.delete(delivery)
        // More entries may be due for this client. If this call fails, the next regular call tries again and logs the failure.
        if (!stopping.signal.aborted) deliverDue().catch(() => {})
      })
    running.set(delivery, entry.clientId)
  }

  async function deliver(entry: LogoutOutboxEntry): Promise<void> {
    const { clientSessionId, clientId, userId } = entry
    const client = await registry.client(clientId)
    if (!client || client.disabled || client.backchannelLogoutUri === null) {
      failing.delete(clientId)
      return logoutOutbox.delete(clientSessionId)
    }
    const fields = { actor: 'keyturn', client_id: clientId, sub: userId, sid: clientSessionId }
    const failure = await attempt(entry, client.backchannelLogoutUri, client.idTokenSigningAlg)
    const refused = failure instanceof LogoutTokenRefused
    if (failure === null || refused) failing.delete(clientId)
    else if (!stopping.signal.aborted) failing.add(clientId)
    if (failure === null) {
      await logoutOutbox.delete(clientSessionId)
      audit('logout_token.delivered', fields)
    } else if (refused) {
      await logoutOutbox.delete(clientSessionId)
      audit('logout_token.failed', { ...fields, reason: failure.message })
    } else if (stopping.signal.aborted) {
      return
    } else if (entry.attempts + 1 >= MAX_ATTEMPTS) {
      await logoutOutbox.delete(clientSessionId)
      audit('logout_token.failed', { ...fields, reason: 'no attempt succeeded' })
    } else {
      logger.warn({ ...fields, err: failure }, 'logout token not delivered, will retry')
    }
  }

  /** null if the client has accepted the logout token. */
  async function attempt(entry: LogoutOutboxEntry, uri: string, alg: Client['idTokenSigningAlg']) {
    // The last attempt was interrupted by a crash.
    if (entry.attempts >= MAX_ATTEMPTS) return new Error('no attempts are left')
    try {
      const claims = logoutTokenClaims(entry, {
        issuer: deps.issuer,
        now: clock.now(),
        jti: deps.random.id(),
        ttl: LOGOUT_TOKEN_TTL,
      })
      // With the algorithm of the client’s ID tokens (Back-Channel Logout §2.6).
      const token = await deps.signer.sign(LOGOUT_TOKEN_TYPE, claims, alg ?? undefined)
      await deps.send(uri, token, stopping.signal)
      return null
    } catch (error) {
      return error as Error
    }
  }

  return {
    deliverDue,
    async stop() {
      stopping.abort()
      await deliverDue.settled()
      await Promise.all(running.keys())
    },
  }
}
