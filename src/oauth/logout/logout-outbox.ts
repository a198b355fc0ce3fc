/**
 * Notifies clients that one of their sessions has ended (OpenID Connect Back-Channel Logout). The notices are stored in
 * the batch that ends the session, so a restart loses none. A client that does not answer delays neither the user who
 * signs out nor other clients. Must not know why a session ended.
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
import type { SendLogoutToken } from './send-logout-token.ts'

export interface LogoutOutbox {
  /** Starts the deliveries that are due, within the limits. Resolves when they have started; never waits for a client. */
  deliverDue(): Promise<void>
  /** Aborts running deliveries, which are then due again later. */
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

/** How long after the first, second, … attempt the next one is due. */
export const RETRY_DELAYS: readonly Seconds[] = [10, 60, 600, 3600]
const MAX_ATTEMPTS = RETRY_DELAYS.length + 1
export const MAX_DELIVERIES = 8
/** So that a client that hangs leaves room for the others. */
export const MAX_DELIVERIES_PER_CLIENT = 2

export function createLogoutOutbox(deps: LogoutOutboxDeps): LogoutOutbox {
  const { logoutOutbox, registry, clock, audit, logger } = deps
  const stopping = new AbortController()
  const running = new Map<Promise<void>, string>()

  const ofClient = (id: string) => [...running.values()].filter((one) => one === id).length

  const deliverDue = singleFlight(startDue)

  async function startDue(): Promise<void> {
    for (;;) {
      const room = MAX_DELIVERIES - running.size
      if (room <= 0 || stopping.signal.aborted) return
      const busy = [...new Set(running.values())].filter((id) => ofClient(id) >= MAX_DELIVERIES_PER_CLIENT)
      const due = await logoutOutbox.due(clock.now(), room, busy)
      if (due.length === 0) return
      for (const notice of due) await start(notice)
    }
  }

  async function start(notice: LogoutOutboxEntry): Promise<void> {
    if (stopping.signal.aborted || ofClient(notice.clientId) >= MAX_DELIVERIES_PER_CLIENT) return
    const delay = RETRY_DELAYS[Math.min(notice.attempts, RETRY_DELAYS.length - 1)] ?? 0
    // Claimed before the call: if this process dies, another tries again later, and no two deliver at once.
    if (!(await logoutOutbox.claim(notice, clock.now() + delay))) return
    const delivery = deliver(notice)
      .catch((error) =>
        logger.error({ err: error, sid: notice.clientSessionId }, 'a logout notice could not be delivered'),
      )
      .finally(() => {
        running.delete(delivery)
        // More may be due for this client. A failure here repeats in the next round, which logs it.
        if (!stopping.signal.aborted) deliverDue().catch(() => {})
      })
    running.set(delivery, notice.clientId)
  }

  async function deliver(notice: LogoutOutboxEntry): Promise<void> {
    const { clientSessionId, clientId, userId } = notice
    const client = await registry.client(clientId)
    if (!client || client.disabled || client.backchannelLogoutUri === null) {
      return logoutOutbox.delete(clientSessionId)
    }
    const fields = { actor: 'keyturn', client_id: clientId, sub: userId, sid: clientSessionId }
    const failure = await attempt(notice, client.backchannelLogoutUri)
    if (failure === null) {
      await logoutOutbox.delete(clientSessionId)
      audit('logout_token.delivered', fields)
    } else if (stopping.signal.aborted) {
      return
    } else if (notice.attempts + 1 >= MAX_ATTEMPTS) {
      await logoutOutbox.delete(clientSessionId)
      audit('logout_token.failed', { ...fields, reason: 'no attempt succeeded' })
    } else {
      logger.warn({ ...fields, err: failure }, 'a logout notice could not be delivered yet')
    }
  }

  /** null if the client has accepted the logout token. */
  async function attempt(notice: LogoutOutboxEntry, uri: NonNullable<Client['backchannelLogoutUri']>) {
    // The last attempt was claimed, and then interrupted by a crash.
    if (notice.attempts >= MAX_ATTEMPTS) return new Error('all attempts are used up')
    try {
      const claims = logoutTokenClaims(notice, {
        issuer: deps.issuer,
        now: clock.now(),
        jti: deps.random.id(),
        ttl: LOGOUT_TOKEN_TTL,
      })
      await deps.send(uri, await deps.signer.sign(LOGOUT_TOKEN_TYPE, claims), stopping.signal)
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
