/** One round: load on one server, every answer checked, one of them verified as a stranger would. */
import { availableParallelism } from 'node:os'
import autocannon from 'autocannon'
import { createRemoteJWKSet, type JWTPayload, jwtVerify } from 'jose'
import { cpuSeconds, machineSeconds } from './cpu.ts'
import { API, basic, SCOPE, type Subject } from './subject.ts'

export interface Load {
  readonly connections: number
  readonly seconds: number
}

export interface Measurement {
  readonly perSecond: number
  readonly answers: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Processor time of the server's process for one answer, in microseconds; null where it cannot be read. */
  readonly cpuMicros: number | null
  /** The share of the machine that neither server nor load used but others did, 0 to 1; null as above. */
  readonly elsewhere: number | null
}

/** Turns one load into requests; called once a connection. */
type Prepare = (subject: Subject, load: Load) => Promise<(client: autocannon.Client) => void>

export interface Scenario {
  readonly name: string
  readonly prepare: Prepare
}

/** The same bytes again and again: the client asks for a token of its own. */
export const clientCredentials: Scenario = {
  name: 'client_credentials',
  async prepare() {
    const body = new URLSearchParams({ grant_type: 'client_credentials', scope: SCOPE }).toString()
    return (client) => client.setBody(body)
  },
}

/** Each connection is a session that refreshes with what its last refresh gave it. */
export const refresh: Scenario = {
  name: 'refresh_token',
  async prepare(subject, { connections }) {
    const tokens = (await subject.refreshTokens?.(connections)) ?? []
    return (client) => {
      let token = tokens.pop() ?? ''
      client.setRequests([
        {
          setupRequest: (request) => ({
            ...request,
            body: `grant_type=refresh_token&refresh_token=${token}`,
          }),
          onResponse: (_status, body) => {
            token = /"refresh_token":"([^"]+)"/.exec(body)?.[1] ?? ''
          },
        },
      ])
    }
  },
}

/** @throws if a single answer is not 200 with a JWT, or if the last one does not verify */
export async function measure(subject: Subject, scenario: Scenario, load: Load): Promise<Measurement> {
  let last = ''
  const setupClient = await scenario.prepare(subject, load)
  const before = used(subject)
  const result = await autocannon({
    url: subject.tokenUrl,
    method: 'POST',
    connections: load.connections,
    duration: load.seconds,
    headers: {
      authorization: basic(subject.secret),
      'content-type': 'application/x-www-form-urlencoded',
    },
    setupClient,
    verifyBody: (body) => {
      last = String(body)
      return last.includes('"access_token":"eyJ')
    },
  })
  const after = used(subject)
  const answers = result['2xx']
  const { non2xx, errors, timeouts, mismatches } = result
  if (non2xx + errors + timeouts + mismatches > 0 || answers === 0) {
    const counts = JSON.stringify({ answers, non2xx, errors, timeouts, mismatches })
    throw new Error(`${subject.name}, ${scenario.name}: not every answer was a token: ${counts}\n${last}`)
  }
  const { scope } = await verifyToken(subject, last)
  if (scope !== SCOPE) throw new Error(`${subject.name}: scope is ${scope}`)
  return {
    perSecond: answers / result.duration,
    answers,
    p50: result.latency.p50,
    p99: result.latency.p99,
    cpuMicros: before && after ? ((after.server - before.server) * 1e6) / answers : null,
    elsewhere: before && after ? share(before, after) : null,
  }
}

export interface Used {
  readonly at: number
  readonly server: number
  /** The load is made in this process. */
  readonly load: number
  readonly machine: number
}

export function used({ pid }: Subject): Used | null {
  const [server, machine] = [cpuSeconds(pid), machineSeconds()]
  const { user, system } = process.cpuUsage()
  if (server === null || machine === null) return null
  return { at: performance.now() / 1000, server, load: (user + system) / 1e6, machine }
}

/** What others took of the machine, 0 to 1. */
export function share(before: Used, after: Used): number {
  const ours = after.server - before.server + after.load - before.load
  const others = after.machine - before.machine - ours
  return Math.max(0, others / ((after.at - before.at) * availableParallelism()))
}

/** The access token in a token response, as a stranger would see it. @throws if it is not good */
export async function verifyToken(subject: Subject, body: string): Promise<JWTPayload> {
  const { access_token: token } = JSON.parse(body) as { access_token: string }
  const { payload, protectedHeader } = await jwtVerify(token, createRemoteJWKSet(new URL(subject.jwksUrl)), {
    issuer: subject.issuer,
    audience: API,
    algorithms: ['RS256'],
    typ: 'at+jwt',
    requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti'],
  })
  if (!protectedHeader.kid) throw new Error(`${subject.name}: no kid`)
  return payload
}
