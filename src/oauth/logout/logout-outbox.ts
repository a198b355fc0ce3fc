/**
 * Tells clients that a session of theirs has ended (OpenID Connect Back-Channel Logout). The notices are in the store
 * from the moment the session ends, so a restart forgets none. Nobody waits for a client that does not answer: neither
 * the person who signs out, nor other clients. Must not know why a session ended.
 */
import type { Audit } from '../../audit/events.ts'
import type { Signer } from '../../keys/signer.ts'
import { singleFlight } from '../../single-flight.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { LogoutNotice, LogoutNoticeStore } from '../../store/contracts/logout-outbox.ts'
import type { Clock, Logger, Random, Seconds } from '../../system.ts'
import { LOGOUT_TOKEN_TYPE, logoutTokenClaims } from '../../tokens/logout-token.ts'
import { LOGOUT_TOKEN_TTL } from '../lifetimes.ts'
import type { Registry } from '../registry.ts'
import type { SendLogoutToken } from './send-logout-token.ts'

export interface LogoutOutbox {
  /** Begins what is due and has room. Resolves when it has begun; never waits for a client. */
  deliverDue(): Promise<void>
  /** Gives up what is under way, which is then due again later. */
  stop(): Promise<void>
}

export interface LogoutOutboxDeps {
  readonly logoutNotices: LogoutNoticeStore
  readonly registry: Pick<Registry, 'client'>
  readonly signer: Pick<Signer, 'sign'>
  readonly send: SendLogoutToken
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly logger: Logger
  readonly issuer: string
}

/** How long after the first, second, … attempt the next may be made; §2.5 asks not to hammer. */
const RETRY_DELAYS: readonly Seconds[] = [10, 60, 600, 3600]
const ATTEMPTS = RETRY_DELAYS.length + 1
const AT_ONCE = 8
/** Of one client, so that one that hangs leaves room for the others. */
const AT_ONCE_EACH = 2

export function createLogoutOutbox(deps: LogoutOutboxDeps): LogoutOutbox {
  const { logoutNotices, registry, clock, audit, logger } = deps
  const stopping = new AbortController()
  const running = new Map<Promise<void>, string>()

  const ofClient = (id: string) => [...running.values()].filter((one) => one === id).length

  const deliverDue = singleFlight(look)

  async function look(): Promise<void> {
    for (;;) {
      const room = AT_ONCE - running.size
      if (room <= 0 || stopping.signal.aborted) return
      const busy = [...new Set(running.values())].filter((id) => ofClient(id) >= AT_ONCE_EACH)
      const due = await logoutNotices.due(clock.now(), room, busy)
      if (due.length === 0) return
      for (const notice of due) await begin(notice)
    }
  }

  async function begin(notice: LogoutNotice): Promise<void> {
    if (stopping.signal.aborted || ofClient(notice.clientId) >= AT_ONCE_EACH) return
    const wait = RETRY_DELAYS[Math.min(notice.attempts, RETRY_DELAYS.length - 1)] ?? 0
    // Before the call: whatever happens to this process, another will try again, and none tries twice at once.
    if (!(await logoutNotices.claim(notice, clock.now() + wait))) return
    const work = settle(notice)
      .catch((error) => logger.error({ err: error, sid: notice.sessionId }, 'a logout notice is stuck'))
      .finally(() => {
        running.delete(work)
        // There may be more for this client. What fails here fails again in the next round, which says so.
        if (!stopping.signal.aborted) deliverDue().catch(() => {})
      })
    running.set(work, notice.clientId)
  }

  async function settle(notice: LogoutNotice): Promise<void> {
    const { sessionId, clientId, userId } = notice
    const client = await registry.client(clientId)
    if (!client || client.disabled || client.backchannelLogoutUri === null) {
      return logoutNotices.delete(sessionId)
    }
    const about = { actor: 'keyturn', client_id: clientId, sub: userId, sid: sessionId }
    const failure = await attempt(notice, client.backchannelLogoutUri)
    if (failure === null) {
      await logoutNotices.delete(sessionId)
      audit('logout.notified', about)
    } else if (stopping.signal.aborted) {
      return
    } else if (notice.attempts + 1 >= ATTEMPTS) {
      await logoutNotices.delete(sessionId)
      audit('logout.notice_failed', { ...about, reason: 'no attempt succeeded' })
    } else {
      logger.warn({ ...about, err: failure }, 'a client could not be told yet that a session has ended')
    }
  }

  /** null if the client has been told. */
  async function attempt(notice: LogoutNotice, uri: NonNullable<Client['backchannelLogoutUri']>) {
    // The last attempt was cut off by a crash.
    if (notice.attempts >= ATTEMPTS) return new Error('tried often enough')
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
