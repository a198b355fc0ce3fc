/** Clients that send requests until the server is gone, and record what they were told. */

import { claimsOf, clientCredentials, refresh } from '../server/requests.ts'
import type { ServerProcess } from './process.ts'

/** One session, represented by the refresh token that its client holds. */
export interface Chain {
  /** The first token, long since replaced if there were acknowledgements. */
  readonly first: string
  /** The newest acknowledged token; a refresh with it may be in progress when the server dies. */
  token: string
  /** Responses with status 200 that the client has received. */
  acknowledged: number
}

export const chainOf = (token: string): Chain => ({ first: token, token, acknowledged: 0 })

export interface AccessToken {
  readonly kid: string
  readonly exp: number
  readonly token: string
}

interface Acknowledged {
  /** Every issued access token. */
  readonly accessTokens: readonly AccessToken[]
  /** Responses other than 200; broken connections do not count. */
  readonly failures: readonly string[]
}

/** How many clients request their own tokens. */
const MACHINES = 2

interface LoadOptions {
  /** Outages of the store are expected: a request that got 503 is repeated, and is no failure. */
  readonly outages?: boolean
}

/**
 * Each session refreshes as fast as it can, while other clients request their own tokens. Resolves when every client has
 * lost its server; the chains then tell the state of each session.
 */
export async function load(
  server: Pick<ServerProcess, 'inject'>,
  chains: readonly Chain[],
  { outages = false }: LoadOptions = {},
): Promise<Acknowledged> {
  const accessTokens: AccessToken[] = []
  const failures: string[] = []

  /** The response, or undefined if there was none or it was not a success. */
  async function send(
    request: () => ReturnType<ServerProcess['inject']>,
  ): Promise<{ refresh_token?: string } | undefined> {
    const answer = await request().catch(() => undefined)
    if (!answer) return undefined
    if (outages && answer.statusCode === 503) return send(request)
    if (answer.statusCode !== 200) {
      failures.push(`${answer.statusCode} ${answer.body}`)
      return undefined
    }
    const response = answer.json()
    const token: string = response.access_token
    const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString('utf8'))
    accessTokens.push({ token, kid: header.kid, exp: Number(claimsOf(token).exp) })
    return response
  }

  async function refreshRepeatedly(chain: Chain): Promise<void> {
    for (;;) {
      const response = await send(() => refresh(server, chain.token))
      if (!response?.refresh_token) return
      chain.token = response.refresh_token
      chain.acknowledged += 1
    }
  }

  async function requestTokens(): Promise<void> {
    while (await send(() => clientCredentials(server)));
  }

  await Promise.all([...chains.map(refreshRepeatedly), ...Array.from({ length: MACHINES }, requestTokens)])
  return { accessTokens, failures }
}
