import {
  createVerifier,
  type Verifier,
  type VerifierOptions,
  VerifyError,
} from '../../../packages/verify/index.ts'
import { ORDERS } from '../server/seed.ts'
import { ISSUER, type TestServer } from '../server/server.ts'

export interface Verifying {
  readonly verifier: Verifier
  /** Paths this verifier has requested from the server, in order. */
  readonly calls: string[]
  /** `ok`, or the code of the refusal. */
  verdict(token: string): Promise<string>
  /** Makes the server unreachable for this verifier, or reachable again. */
  cutOff(away: boolean): void
}

/** A verifier as a microservice uses it, on the server’s clock, that reaches the server without a socket. */
export function verifying(server: TestServer, options: Partial<VerifierOptions> = {}): Verifying {
  const calls: string[] = []
  let away = false
  const verifier = createVerifier({
    issuer: ISSUER,
    audience: ORDERS,
    clock: () => server.clock.now(),
    monotonic: () => server.clock.now() * 1000,
    async fetch(input, init) {
      const { pathname } = new URL(String(input))
      calls.push(pathname)
      if (away) throw new Error('the server is away')
      const headers = Object.fromEntries(new Headers(init?.headers))
      const { statusCode, payload, headers: answered } = await server.inject({ url: pathname, headers })
      return new Response(statusCode === 304 ? null : payload, {
        status: statusCode,
        headers: answered as Record<string, string>,
      })
    },
    ...options,
  })
  return {
    verifier,
    calls,
    verdict: (token) =>
      verifier.verify(token).then(
        () => 'ok',
        (error: unknown) => (error instanceof VerifyError ? error.code : Promise.reject(error)),
      ),
    cutOff(value) {
      away = value
    },
  }
}
