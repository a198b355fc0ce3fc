/** Clients that go on until the server is gone, and write down what they were told. */

import { claimsOf, clientCredentials, refresh } from '../server/requests.ts'
import type { ServerProcess } from './process.ts'

/** One session: the refresh token that its client holds. */
export interface Chain {
  /** The first one, long since replaced if there were acknowledgements. */
  readonly first: string
  /** The newest that was handed out; a refresh with it may be under way when the server dies. */
  token: string
  /** Answers 200 that the client has seen. */
  acknowledged: number
}

export const chainOf = (token: string): Chain => ({ first: token, token, acknowledged: 0 })

export interface AccessToken {
  readonly kid: string
  readonly exp: number
  readonly token: string
}

interface Acknowledged {
  /** Every access token that anybody was given. */
  readonly accessTokens: readonly AccessToken[]
  /** Answers that were neither 200 nor a broken connection. */
  readonly failures: readonly string[]
}

/**
 * Each session refreshes as fast as it can, and `machines` clients ask for tokens of their own meanwhile.
 * Resolves when every one of them has lost its server; the chains then say where each stands.
 */
export async function load(
  server: Pick<ServerProcess, 'inject'>,
  chains: readonly Chain[],
  machines = 2,
): Promise<Acknowledged> {
  const accessTokens: AccessToken[] = []
  const failures: string[] = []

  /** The answer, or undefined if there was none, or not the one that was hoped for. */
  async function ask(
    request: () => ReturnType<ServerProcess['inject']>,
  ): Promise<{ refresh_token?: string } | undefined> {
    const answer = await request().catch(() => undefined)
    if (!answer) return undefined
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

  async function refreshing(chain: Chain): Promise<void> {
    for (;;) {
      const response = await ask(() => refresh(server, chain.token))
      if (!response?.refresh_token) return
      chain.token = response.refresh_token
      chain.acknowledged += 1
    }
  }

  async function asking(): Promise<void> {
    while (await ask(() => clientCredentials(server)));
  }

  await Promise.all([...chains.map(refreshing), ...Array.from({ length: machines }, asking)])
  return { accessTokens, failures }
}
