/** Clients that go on until the server is gone, and write down what they were told. */
import type { ServerProcess } from './process.ts'
import { claimsOf, clientCredentials, refresh } from './requests.ts'

/** One session: the last refresh token that was handed out, and what must be true of it. */
export interface Chain {
  /** The newest token the client has; a refresh with it may be under way. */
  token: string
  /** Answers 200 that the client has seen. */
  acknowledged: number
  /** An earlier one, long since replaced. */
  old: string | undefined
}

export interface AccessToken {
  readonly kid: string
  readonly exp: number
  readonly token: string
}

export interface LoadResult {
  readonly chains: readonly Chain[]
  /** Every access token that anybody was given. */
  readonly accessTokens: readonly AccessToken[]
  /** Answers that were neither 200 nor a broken connection. */
  readonly failures: readonly string[]
}

export interface Load {
  /** Resolves when every client has lost its server. */
  readonly ended: Promise<LoadResult>
}

/** Each session refreshes as fast as it can; `machines` clients ask for tokens of their own meanwhile. */
export function startLoad(server: ServerProcess, tokens: readonly string[], machines = 2): Load {
  const chains: Chain[] = tokens.map((token) => ({ token, acknowledged: 0, old: undefined }))
  const accessTokens: AccessToken[] = []
  const failures: string[] = []

  async function ask(request: () => ReturnType<ServerProcess['inject']>) {
    const answer = await request().catch(() => undefined)
    if (!answer) return undefined
    if (answer.statusCode !== 200) {
      failures.push(`${answer.statusCode} ${answer.body}`)
      return undefined
    }
    const { access_token: token, refresh_token } = answer.json()
    const header = JSON.parse(Buffer.from(token.split('.')[0], 'base64url').toString('utf8'))
    accessTokens.push({ token, kid: header.kid, exp: Number(claimsOf(token).exp) })
    return { refreshToken: refresh_token as string | undefined }
  }

  async function refreshing(chain: Chain): Promise<void> {
    for (;;) {
      const answer = await ask(() => refresh(server, chain.token))
      if (!answer?.refreshToken) return
      chain.old = chain.token
      chain.token = answer.refreshToken
      chain.acknowledged += 1
    }
  }

  async function asking(): Promise<void> {
    while (await ask(() => clientCredentials(server)));
  }

  const everybody = [...chains.map(refreshing), ...Array.from({ length: machines }, asking)]
  return { ended: Promise.all(everybody).then(() => ({ chains, accessTokens, failures })) }
}
