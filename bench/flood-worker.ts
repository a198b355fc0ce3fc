/** Signs users in until it is told to stop, or lets signed-in users get codes and tokens. Sends a message for each. */
import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { type Browser, openBrowser, redeemOnce, signInOnce } from './code-flow.ts'
import type { Subject } from './subject.ts'

export interface Flood {
  readonly subject: Subject
  readonly users: number
  /** If given, each user signs in once, and then all together get this many codes a second. */
  readonly codesPerSecond: number | undefined
}

const { subject, users, codesPerSecond } = workerData as Flood
const agent = new Agent({ keepAlive: true, maxSockets: users })
let stopped = false
parentPort?.once('message', () => {
  stopped = true
})

async function signIn(first: number): Promise<void> {
  for (let index = first; !stopped; index += users) {
    await signInOnce(subject, agent, index)
    parentPort?.postMessage(index)
  }
}

/** Their turns are spread over the time, as those of users whose passwords are hashed. */
async function getCodes(browsers: readonly Browser[], perSecond: number): Promise<void> {
  await Promise.all(browsers.map((browser) => browser.authorize()))
  const start = performance.now()
  const getThem = async (browser: Browser, index: number) => {
    for (let n = index; !stopped; n += users) {
      await sleep(Math.max(0, start + (1000 * n) / perSecond - performance.now()))
      await redeemOnce(subject, agent, await browser.authorize())
      parentPort?.postMessage(index)
    }
  }
  await Promise.all(browsers.map(getThem))
}

const numbers = Array.from({ length: users }, (_, i) => i)
if (codesPerSecond === undefined) await Promise.all(numbers.map(signIn))
else
  await getCodes(
    numbers.map((i) => openBrowser(subject, agent, i)),
    codesPerSecond,
  )
agent.destroy()
