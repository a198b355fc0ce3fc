/**
 * The size of V8's young generation, where new objects live until they are collected or survive twice. V8 doubles it, up to 32 MB,
 * whenever the process creates many objects, as loading the program does, and an idle process keeps it. So src/keyturn.js starts the
 * process without this growth, and a server grows under load only, to a size beyond which requests cost no less. V8 has no other
 * setting for it that a running process can change. Must not know what the process does.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** Bytes of both halves. With less, V8 takes objects of requests in progress for old ones: half of it costs 3 to 4 % of processor time. */
export const MAX_YOUNG_GENERATION = 16 * 1024 * 1024
/** So many collections, each this soon after the one before it, are those of a server under load. */
const BUSY = { collections: 10, milliseconds: 100 }

/**
 * Returns a function that is told when each collection begins, in milliseconds, and says whether the collections so far are those of a
 * server under load.
 */
export function watchCollections(): (startTime: number) => boolean {
  let inARow = 0
  let last = Number.NEGATIVE_INFINITY
  return (startTime) => {
    inARow = startTime - last < BUSY.milliseconds ? inARow + 1 : 0
    last = startTime
    return inARow >= BUSY.collections
  }
}

/** @returns stops growth */
export function growYoungGenerationUnderLoad(): () => void {
  const isBusyAt = watchCollections()
  let growing = false

  function setGrowing(value: boolean): void {
    if (value === growing) return
    growing = value
    // V8 multiplies the size by this. It is 1 at all other times, because the cache of compiled code depends on V8's flags.
    setFlagsFromString(`--semi-space-growth-factor=${value ? 2 : 1}`)
  }

  const observer = new PerformanceObserver((collections) => {
    const isBusy = collections.getEntries().map(({ startTime }) => isBusyAt(startTime))
    setGrowing(isBusy.at(-1) === true && youngGenerationSize() < MAX_YOUNG_GENERATION)
  })
  observer.observe({ entryTypes: ['gc'] })
  return () => {
    observer.disconnect()
    setGrowing(false)
  }
}

/** Bytes of both halves. */
export const youngGenerationSize = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0
