/**
 * Requests that an administrator may send again without acting twice. A request is stored as begun before it acts, and its answer
 * afterwards. So a process that is killed in between leaves a request that may or may not have acted, and a repetition is told
 * so: at most once, never twice. Must not know HTTP, or what the request does.
 */
import { createHash } from 'node:crypto'
import { Overloaded } from '../accounts/concurrency-limiter.ts'
import type { WriteLimiter } from '../accounts/write-limiter.ts'
import { createStorageCipher, type DataKeys } from '../keys/data-keys.ts'
import type { IdempotencyStore, IdempotentRequest } from '../store/contracts/idempotency.ts'
import type { Clock, Logger, Random, ReachFailpoint, Seconds } from '../system.ts'
import { AdminError } from './errors.ts'

/** How long a repetition gets the answer of the first request. */
export const IDEMPOTENCY_TTL: Seconds = 24 * 3600
/** A request that is in progress for longer than this was in a process that ended. */
const IN_PROGRESS: Seconds = 60
const RETRY_AFTER: Seconds = 1
const MAX_KEY_LENGTH = 255

interface Deps {
  readonly store: IdempotencyStore
  readonly dataKeys: Pick<DataKeys, 'all'>
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  readonly writeLimiter: WriteLimiter
  readonly failpoint: ReachFailpoint
  readonly logger: Logger
}

interface Repeatable<T> {
  readonly actor: string
  /** What the administrator chose. */
  readonly key: string
  /** What the request asks for: equal texts are the same request. */
  readonly request: string
  readonly act: () => Promise<T>
  /** What a repetition gets, such as the answer without its secret. */
  readonly remembered: (outcome: T) => T
}

/** @throws {AdminError} idempotency-mismatch, idempotency-in-progress, idempotency-unknown, too-many-requests */
export type ActOnce = <T>(request: Repeatable<T>) => Promise<T>

export function createActOnce(deps: Deps): ActOnce {
  const { store, dataKeys, clock, random, writeLimiter, failpoint, logger } = deps
  // Encrypted, because a request may contain a password and its answer names and addresses.
  const cipher = createStorageCipher(dataKeys, random, {
    purpose: 'keyturn/idempotency/v1',
    what: 'the remembered request',
  })
  const context = (part: string, { actor, key }: Pick<IdempotentRequest, 'actor' | 'key'>) =>
    JSON.stringify([part, actor, key])

  function repeated<T>(found: IdempotentRequest, digest: string): T {
    if (cipher.decrypt(context('request', found), found.request) !== digest)
      throw new AdminError('idempotency-mismatch', 'the Idempotency-Key was used for another request')
    if (found.answer !== null) return JSON.parse(cipher.decrypt(context('answer', found), found.answer)) as T
    if (clock.now() - found.begunAt <= IN_PROGRESS) throw inProgress()
    throw new AdminError(
      'idempotency-unknown',
      'the request with this Idempotency-Key did not finish, and may or may not have acted: check, then use another key',
    )
  }

  return async <T>({ actor, key, request, act, remembered }: Repeatable<T>): Promise<T> => {
    if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(key) || key.length > MAX_KEY_LENGTH)
      throw new AdminError(
        'invalid-value',
        `the Idempotency-Key must be 1 to ${MAX_KEY_LENGTH} visible ASCII characters`,
        { errors: [{ field: 'Idempotency-Key', message: 'is not valid' }] },
      )
    const digest = createHash('sha256').update(request).digest('base64url')
    const begunAt = clock.now()
    const found = await store.find(actor, key, begunAt)
    if (found) return repeated(found, digest)
    const retryAfter = writeLimiter.take('repeatable', actor)
    if (retryAfter > 0)
      throw new AdminError('too-many-requests', 'too many requests with an Idempotency-Key', { retryAfter })
    const begun = { actor, key, begunAt, expiresAt: begunAt + IDEMPOTENCY_TTL }
    const stored = { ...begun, request: cipher.encrypt(context('request', begun), digest) }
    if (!(await store.begin(stored))) {
      const other = await store.find(actor, key, begunAt)
      if (other) return repeated(other, digest)
      throw inProgress()
    }
    failpoint('administration:begun')
    let outcome: T
    try {
      outcome = await act()
    } catch (error) {
      if (changedNothing(error)) await store.forget(begun)
      throw error
    }
    failpoint('administration:acted')
    try {
      await store.finish(begun, cipher.encrypt(context('answer', begun), JSON.stringify(remembered(outcome))))
    } catch (error) {
      // The request has acted, and its answer may contain a secret that is in no other.
      logger.error(
        { err: error, actor },
        'the response to a request with an Idempotency-Key could not be stored',
      )
    }
    return outcome
  }
}

const inProgress = (): AdminError =>
  new AdminError('idempotency-in-progress', 'the request with this Idempotency-Key is in progress', {
    retryAfter: RETRY_AFTER,
  })

const changedNothing = (error: unknown): boolean => error instanceof AdminError || error instanceof Overloaded
