/**
 * A reverse proxy in front of several nodes: it balances over the nodes that report themselves ready and repeats no
 * request.
 */
import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Owner } from '../support/processes/data-folder.ts'
import { overHttp } from '../support/server/http-inject.ts'

const READINESS_POLL_MS = 50

interface Target {
  readonly port: number
  readonly agent: Agent
  ready: boolean
}

export interface RoundRobin {
  readonly url: string
  /** Forwarded requests by port. */
  readonly served: ReadonlyMap<number, number>
  add(node: { readonly port: number }): Promise<void>
  inject(options: InjectOptions): Promise<LightMyRequestResponse>
}

export async function roundRobin(owner: Owner): Promise<RoundRobin> {
  const targets: Target[] = []
  const served = new Map<number, number>()
  let turn = 0
  let stopped = false

  async function isReady(target: Target): Promise<boolean> {
    const probe = request({ port: target.port, host: '127.0.0.1', path: '/health/ready', agent: false })
    // Also after the first chunk: a node that exits cuts the rest of its response.
    probe.on('error', () => {})
    probe.end()
    try {
      const [response] = (await once(probe, 'response')) as [IncomingMessage]
      response.resume()
      return response.statusCode === 200
    } catch {
      return false
    }
  }

  async function watch(target: Target): Promise<void> {
    while (!stopped) {
      target.ready = await isReady(target)
      await sleep(READINESS_POLL_MS)
    }
  }

  function pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const ready = targets.filter((target) => target.ready)
    turn += 1
    const target = ready[turn % ready.length]
    if (!target) {
      outgoing.writeHead(502).end('no node is ready')
      return
    }
    const { port, agent } = target
    served.set(port, (served.get(port) ?? 0) + 1)
    const { method, url, headers } = incoming
    const upstream = request({ host: '127.0.0.1', port, method, path: url, headers, agent }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(outgoing)
    })
    upstream.on('error', (error) => {
      if (!outgoing.headersSent) outgoing.writeHead(502)
      outgoing.end(`${port}: ${error.message}`)
    })
    incoming.pipe(upstream)
  }

  const server = createServer(pass).listen(0, '127.0.0.1')
  await once(server, 'listening')
  owner.teardown(() => {
    stopped = true
    for (const { agent } of targets) agent.destroy()
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    served,
    async add({ port }) {
      const target = { port, agent: new Agent({ keepAlive: true }), ready: false }
      targets.push(target)
      watch(target)
      while (!target.ready) await sleep(5)
    },
    inject: overHttp(url).inject,
  }
}
