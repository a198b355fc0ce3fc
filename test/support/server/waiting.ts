/** Waiting in tests. Nothing here has a time limit of its own, because a machine may be slow: the runner ends a test that hangs. */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'

/** For limits that must have a number. It only ends what hangs: on a busy machine everything takes many times as long. */
export const HANG_MS = 240_000

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(2)
}

/** Some turns of the event loop: what waits for nothing is done by then. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await turn()
}

/** Whether the promise still waits after some turns of the event loop. */
export function isPending(promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => false,
    () => false,
  )
  return Promise.race([settled, turns().then(() => true)])
}
