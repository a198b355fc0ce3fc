/** Signs users in until it is told to stop. Sends a message for each sign-in. */
import { Agent } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'
import { signInOnce } from './code-flow.ts'
import type { Subject } from './subject.ts'

const { subject, users } = workerData as { subject: Subject; users: number }
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

await Promise.all(Array.from({ length: users }, (_, i) => signIn(i)))
agent.destroy()
