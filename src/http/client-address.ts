import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'

/** Some proxies append the port. */
const WITH_PORT = /^(?:\[([^\]]+)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/

/**
 * Who is asking: what the trusted proxies name, if it is an address at all; otherwise the peer itself. It goes
 * into the audit trail and decides whose guesses are counted together, so it must not be free text.
 */
export function clientAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  const [, v6, v4] = WITH_PORT.exec(ip) ?? []
  const address = v6 ?? v4 ?? ip
  // A zone (`fe80::1%…`) may be any text.
  return isIP(address) !== 0 && !address.includes('%') ? address : (socket.remoteAddress ?? '')
}
