/** How often work is repeated that the server has undone, and when. */
import { setTimeout as sleep } from 'node:timers/promises'

/** Contention ends within a few attempts; after this many, the store is unavailable. */
export const MAX_ATTEMPTS = 8
const PAUSE_MS = 5

/** The wait is longer after each attempt, so that the other transaction can finish. */
export const pause = (attempt: number): Promise<void> => sleep(PAUSE_MS * attempt)
