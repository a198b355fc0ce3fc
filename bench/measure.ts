/** One round: load on one server. Every response is checked, and the last token is verified with the JWKS. */
import { availableParallelism } from 'node:os'
import autocannon from 'autocannon'
import { createRemoteJWKSet, type JWTPayload, jwtVerify } from 'jose'
import { API, basic, SCOPE, type Subject } from './subject.ts'
import { cpuSeconds, machineSeconds } from './usage.ts'

export interface Load {
  readonly connections: number
  readonly seconds: number
}

export interface Measurement {
  readonly perSecond: number
  readonly responses: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Processor time of the server per response, in microseconds; null if it cannot be read. */
  readonly cpuMicros: number | null
  /** Share of the machine's processor time that other processes used, 0 to 1; null if it cannot be read. */
  readonly otherLoad: number | null
}

/** Prepares the requests of a round. The returned function is called once per connection. */
type Prepare = (subject: Subject, load: Load) => Promise<(client: autocannon.Client) => void>

export interface Scenario {
  readonly name: string
  readonly prepare: Prepare
  /** The address of a document that is fetched; absent for token requests. */
  readonly document?: (subject: Subject) => string
  /** Requests a second, so that the load is the same at every speed; absent: as many as possible. */
  readonly rate?: number
  /** A round is this many requests, and not some seconds. */
  readonly amount?: number
}

/** Repeats one request: a client requests a token for itself. */
export const clientCredentials: Scenario = {
  name: 'client_credentials',
  async prepare() {
    const body = new URLSearchParams({ grant_type: 'client_credentials', scope: SCOPE }).toString()
    return (client) => client.setBody(body)
  },
}

/** Each connection is one session; each refresh uses the refresh token of the previous response. */
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

export const jwks: Scenario = {
  name: 'JWKS',
  prepare: async () => () => {},
  document: ({ jwksUrl }) => jwksUrl,
  rate: 100,
}

/** @throws if any response is not 200 with a JWT, or if the last token does not verify */
export async function measure(subject: Subject, scenario: Scenario, load: Load): Promise<Measurement> {
  let lastBody = ''
  const setupClient = await scenario.prepare(subject, load)
  const before = readCpuUsage(subject)
  const document = scenario.document?.(subject)
  const expected = document === undefined ? '"access_token":"eyJ' : '"kid":"'
  const start = performance.now()
  let last = start
  const result = await autocannon({
    ...(document === undefined ? tokenRequest(subject) : { url: document }),
    connections: load.connections,
    ...(scenario.amount === undefined ? { duration: load.seconds } : { amount: scenario.amount }),
    ...(scenario.rate === undefined ? {} : { overallRate: scenario.rate }),
    setupClient,
    verifyBody: (body) => {
      lastBody = String(body)
      last = performance.now()
      return lastBody.includes(expected)
    },
  })
  const after = readCpuUsage(subject)
  const responses = result['2xx']
  const { non2xx, errors, timeouts, mismatches } = result
  if (non2xx + errors + timeouts + mismatches > 0 || responses === 0) {
    const counts = JSON.stringify({ responses, non2xx, errors, timeouts, mismatches })
    throw new Error(
      `${subject.name}, ${scenario.name}: not every response contained a token: ${counts}\n${lastBody}`,
    )
  }
  if (document === undefined) {
    const { scope } = await verifyToken(subject, lastBody)
    if (!String(scope).split(' ').includes(SCOPE)) throw new Error(`${subject.name}: scope is ${scope}`)
  }
  // The duration of a number of requests is rounded up to a second.
  const seconds = scenario.amount === undefined ? result.duration : (last - start) / 1000
  return {
    perSecond: responses / seconds,
    responses,
    p50: result.latency.p50,
    p99: result.latency.p99,
    cpuMicros: before && after ? ((after.server - before.server) * 1e6) / responses : null,
    otherLoad: before && after ? otherLoadShare(before, after) : null,
  }
}

const tokenRequest = ({ tokenUrl, secret }: Subject) =>
  ({
    url: tokenUrl,
    method: 'POST',
    headers: { authorization: basic(secret), 'content-type': 'application/x-www-form-urlencoded' },
  }) as const

export interface CpuUsage {
  readonly at: number
  readonly server: number
  /** Processor time of this process, which generates the load, and of the database server. */
  readonly rest: number
  readonly machine: number
}

export function readCpuUsage({ pid, storeCpu }: Subject): CpuUsage | null {
  const [server, machine] = [cpuSeconds(pid), machineSeconds()]
  const { user, system } = process.cpuUsage()
  if (server === null || machine === null) return null
  return { at: performance.now() / 1000, server, rest: (user + system) / 1e6 + (storeCpu?.() ?? 0), machine }
}

/** Share of the machine's processor time that other processes used, 0 to 1. */
export function otherLoadShare(before: CpuUsage, after: CpuUsage): number {
  const benchmark = after.server - before.server + after.rest - before.rest
  const other = after.machine - before.machine - benchmark
  return Math.max(0, other / ((after.at - before.at) * availableParallelism()))
}

/** Verifies the access token of a token response with the JWKS. @throws if it is invalid */
export async function verifyToken(subject: Subject, body: string): Promise<JWTPayload> {
  const { access_token: token } = JSON.parse(body) as { access_token: string }
  const { payload, protectedHeader } = await jwtVerify(token, createRemoteJWKSet(new URL(subject.jwksUrl)), {
    issuer: subject.issuer,
    audience: API,
    algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'],
    typ: 'at+jwt',
    requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti'],
  })
  if (!protectedHeader.kid) throw new Error(`${subject.name}: no kid`)
  return payload
}
