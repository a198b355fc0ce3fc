/** Starts the programs that Keyturn is compared with. */
import { type Subject, startProgram, stop } from '../subject.ts'

export async function startBare(alg = 'RS256'): Promise<Subject> {
  const { child, ready } = await startProgram('bare.ts', alg)
  const description =
    'a Fastify route and one jose signature of the same claims; no client authentication, no log'
  return { ...ready, name: 'bare route', description, pid: child.pid as number, stop: () => stop(child) }
}

export async function startOidcProvider(alg = 'RS256'): Promise<Subject> {
  const { child, ready } = await startProgram('oidc-provider.ts', alg)
  return {
    ...ready,
    name: 'oidc-provider',
    description: 'oidc-provider with JWT access tokens, its in-memory adapter (nothing on disk), no log',
    pid: child.pid as number,
    refreshTokens(count) {
      const tokens = new Promise<string[]>((done) => child.once('message', (list) => done(list as string[])))
      child.send({ refreshTokens: count })
      return tokens
    },
    stop: () => stop(child),
  }
}

export async function startIdle() {
  const { child } = await startProgram('idle.ts')
  return { name: 'a Node.js that does nothing', pid: child.pid as number, stop: () => stop(child) }
}
