/**
 * Hears what other nodes announce, on a connection of its own that is made again whenever it is lost. Must not know what
 * there is to be followed: it says that something has changed, never what.
 */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { KeyturnError } from '../../errors.ts'
import { type ChangeListener, type Changes, type ListenState, StoreUnavailable } from '../db.ts'
import { isUnsupported } from './errors.ts'
import { connectDedicated } from './pool.ts'

export const CHANNEL = 'keyturn'

/** Between two attempts to listen again; doubled each time, up to the longest. */
const SOONEST_MS = 100
const LATEST_MS = 5000
/** A server that passes nothing on may be replaced by one that does. */
const UNABLE_MS = 300_000
/** Keeps what stands between from taking the connection for dead, and finds out when it is. */
const BEAT_MS = 20_000
const GOODBYE_MS = 500

export interface ListenDeps {
  readonly url: string
  /** Seconds that connecting, a statement, or the way of a notification may take. */
  readonly timeout: number
  /** Notifies on a channel, from another connection. */
  readonly tell: (channel: string) => Promise<void>
  readonly listener: ChangeListener
}

/** LISTEN was accepted and nothing comes: a pooler that gives each statement another connection, for one. */
class NothingComes extends KeyturnError<'notifications_missing'> {
  constructor() {
    super('notifications_missing', 'notifications do not arrive: something in between drops them')
  }
}

export function listen({ url, timeout, tell, listener }: ListenDeps): Changes {
  const stopping = new AbortController()
  const stopped = () => stopping.signal.aborted
  let hearing: ListenState | undefined
  let socket: Socket | undefined

  /** Over at once when it is stopped. */
  const pause = (ms: number): Promise<void> =>
    sleep(ms, undefined, { ref: false, signal: stopping.signal }).catch(() => {})

  function turn(now: ListenState, why?: unknown): void {
    if (stopped() || now === hearing) return
    hearing = now
    listener.onStateChange(now, why)
  }

  function heard(): void {
    if (!stopped()) listener.onChange()
  }

  /** Resolves when it is stopped, and otherwise throws when it cannot go on. */
  async function stay(): Promise<void> {
    const client = await connectDedicated(url, timeout, (opened) => {
      socket = opened
    })
    try {
      await hear(client)
    } finally {
      await Promise.race([client.end().catch(() => {}), sleep(GOODBYE_MS, undefined, { ref: false })])
      socket?.destroy()
    }
  }

  async function hear(client: Client): Promise<void> {
    const lost = new Promise<never>((_, reject) => {
      client.on('error', reject)
      client.on('end', () => reject(new Error('the connection was closed')))
    })
    lost.catch(() => {})
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const own = `${CHANNEL}_${rows[0]?.pid}`
    const passedOn = new Promise<void>((resolve) => {
      client.on('notification', ({ channel }) => (channel === own ? resolve() : heard()))
    })
    await client.query(`LISTEN ${CHANNEL}`)
    await client.query(`LISTEN ${own}`)
    // Accepted is not heard.
    await tell(own)
    const late = pause(timeout * 1000).then(() => {
      throw new NothingComes()
    })
    await Promise.race([passedOn, lost, late])
    turn('listening')
    // What was changed before anybody listened.
    heard()
    while (!stopped()) {
      await client.query('SELECT 1')
      await Promise.race([pause(BEAT_MS), lost])
    }
  }

  async function keep(): Promise<void> {
    let wait = SOONEST_MS
    while (!stopped()) {
      try {
        await stay()
      } catch (error) {
        if (hearing === 'listening') wait = SOONEST_MS
        const unable = error instanceof NothingComes || isUnsupported(causeOf(error))
        turn(unable ? 'unable' : 'lost', error)
        await pause(unable ? UNABLE_MS : wait)
        wait = Math.min(2 * wait, LATEST_MS)
      }
    }
  }

  const ended = keep()
  return {
    async stop() {
      stopping.abort()
      // Whatever is waited for, a word of parting or a server that is silent: not for longer than this.
      await Promise.race([ended, sleep(GOODBYE_MS)])
      socket?.destroy()
      await ended
    },
  }
}

const causeOf = (error: unknown): unknown => (error instanceof StoreUnavailable ? error.cause : error)
