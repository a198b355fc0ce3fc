/**
 * Receives the notifications of other nodes on a dedicated connection, which is opened again whenever it is lost. Must not know
 * what has changed.
 */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { KeyturnError } from '../../errors.ts'
import { type ChangeListener, type Changes, type ListenState, StoreUnavailable } from '../db.ts'
import { isUnsupported } from './errors.ts'
import { connectDedicated } from './pool.ts'

export const CHANNEL = 'keyturn'

/** Pause before listening again, doubled after each attempt up to the maximum. */
const MIN_RETRY_MS = 100
const MAX_RETRY_MS = 5000
/** Pause before listening again on a server that does not support notifications: it may have been replaced. */
const UNSUPPORTED_RETRY_MS = 300_000
/** Keeps firewalls and poolers from closing the idle connection, and finds out when it is lost. */
const KEEP_ALIVE_QUERY_MS = 20_000
const CLOSE_TIMEOUT_MS = 500

export interface ListenDeps {
  readonly url: string
  /** Seconds that connecting, a statement, or the delivery of a notification may take. */
  readonly timeout: number
  /** Sends a notification on a channel from another connection. */
  readonly notify: (channel: string) => Promise<void>
  readonly listener: ChangeListener
}

/** LISTEN succeeded, but no notification arrives: for example, a pooler gives each statement another connection. */
class NotDelivered extends KeyturnError<'notifications_missing'> {
  constructor() {
    super('notifications_missing', 'notifications do not arrive: a pooler or proxy may drop them')
  }
}

export function listen({ url, timeout, notify, listener }: ListenDeps): Changes {
  const stopping = new AbortController()
  const stopped = () => stopping.signal.aborted
  let state: ListenState | undefined
  let socket: Socket | undefined

  /** Ends early when `stop` is called. */
  const pause = (ms: number): Promise<void> =>
    sleep(ms, undefined, { ref: false, signal: stopping.signal }).catch(() => {})

  function setState(next: ListenState, cause?: unknown): void {
    if (stopped() || next === state) return
    state = next
    listener.onStateChange(next, cause)
  }

  function reportChange(): void {
    if (!stopped()) listener.onChange()
  }

  /** Resolves when `stop` is called. @throws when the connection is lost or unusable */
  async function listenOnce(): Promise<void> {
    const client = await connectDedicated(url, timeout, (opened) => {
      socket = opened
    })
    try {
      await receive(client)
    } finally {
      await Promise.race([client.end().catch(() => {}), sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })])
      socket?.destroy()
    }
  }

  async function receive(client: Client): Promise<void> {
    const lost = new Promise<never>((_, reject) => {
      client.on('error', reject)
      client.on('end', () => reject(new Error('the connection was closed')))
    })
    lost.catch(() => {})
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const ownChannel = `${CHANNEL}_${rows[0]?.pid}`
    const delivered = new Promise<void>((resolve) => {
      client.on('notification', ({ channel }) => (channel === ownChannel ? resolve() : reportChange()))
    })
    await client.query(`LISTEN ${CHANNEL}`)
    await client.query(`LISTEN ${ownChannel}`)
    // LISTEN may succeed although nothing is delivered, so this node sends a notification to itself.
    await notify(ownChannel)
    const timedOut = pause(timeout * 1000).then(() => {
      throw new NotDelivered()
    })
    await Promise.race([delivered, lost, timedOut])
    setState('listening')
    // Changes may have been made before listening started.
    reportChange()
    while (!stopped()) {
      await client.query('SELECT 1')
      await Promise.race([pause(KEEP_ALIVE_QUERY_MS), lost])
    }
  }

  async function keepListening(): Promise<void> {
    let wait = MIN_RETRY_MS
    while (!stopped()) {
      try {
        await listenOnce()
      } catch (error) {
        if (state === 'listening') wait = MIN_RETRY_MS
        const unsupported = error instanceof NotDelivered || isUnsupported(causeOf(error))
        setState(unsupported ? 'unsupported' : 'lost', error)
        await pause(unsupported ? UNSUPPORTED_RETRY_MS : wait)
        wait = Math.min(2 * wait, MAX_RETRY_MS)
      }
    }
  }

  const stoppedListening = keepListening()
  return {
    async stop() {
      stopping.abort()
      // The stop waits no longer than this, even if the server does not respond.
      await Promise.race([stoppedListening, sleep(CLOSE_TIMEOUT_MS)])
      socket?.destroy()
      await stoppedListening
    },
  }
}

const causeOf = (error: unknown): unknown => (error instanceof StoreUnavailable ? error.cause : error)
