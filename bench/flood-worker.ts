/** Signs users in until it is told to stop, or lets signed-in users get codes and tokens. Sends a message for each. */
import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { openBrowser, redeemOnce, signInOnce } from './code-flow.ts'
import type { Subject } from './subject.ts'

export interface Flood {
  readonly subject: Subject
  readonly users: number
  /** If given, each user signs in once, and then all of them together get so many codes a second. */
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

async function getCodes(index: number, perSecond: number): Promise<void> {
  const browser = openBrowser(subject, agent, index)
  for (let due = performance.now(); !stopped; due += (1000 * users) / perSecond) {
    await sleep(due - performance.now())
    await redeemOnce(subject, agent, await browser.authorize())
    parentPort?.postMessage(index)
  }
}

await Promise.all(
  Array.from({ length: users }, (_, i) =>
    codesPerSecond === undefined ? signIn(i) : getCodes(i, codesPerSecond),
  ),
)
agent.destroy()
