/** Finds the address of the client that sent a request, through proxies. */
import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { plainAddress } from '../ip-address.ts'

/** Some proxies append the port. */
const WITH_PORT = /^(?:\[([^\]]+)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/

/**
 * The address of the client: the address that the trusted proxies report, if it is valid; otherwise that of the peer. It is
 * written to the audit trail and decides which requests share a rate limit, so it must not be arbitrary text.
 */
export function clientAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  const [, v6, v4] = WITH_PORT.exec(ip) ?? []
  const address = v6 ?? v4 ?? ip
  // The zone of an IPv6 address (`fe80::1%…`) may be arbitrary text.
  const valid = isIP(address) !== 0 && !address.includes('%') ? address : (socket.remoteAddress ?? '')
  return plainAddress(valid)
}
