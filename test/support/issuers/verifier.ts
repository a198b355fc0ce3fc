import {
  createVerifier,
  type Verifier,
  type VerifierOptions,
  VerifyError,
} from '../../../packages/verify/index.ts'
import { ORDERS } from '../server/seed.ts'
import { ISSUER, type TestServer } from '../server/server.ts'

export interface TestVerifier {
  readonly verifier: Verifier
  /** Paths this verifier has requested from the server, in order. */
  readonly calls: string[]
  /** `ok`, or the code of the refusal. */
  verdict(token: string): Promise<string>
  /** Makes the server unreachable for this verifier, or reachable again. */
  setUnreachable(unreachable: boolean): void
}

/** A verifier as a microservice uses it, on the server’s clock, that reaches the server without a socket. */
export function testVerifier(server: TestServer, options: Partial<VerifierOptions> = {}): TestVerifier {
  const calls: string[] = []
  let unreachable = false
  const verifier = createVerifier({
    issuer: ISSUER,
    audience: ORDERS,
    clock: () => server.clock.now(),
    monotonic: () => server.clock.now() * 1000,
    async fetch(input, init) {
      const { pathname } = new URL(String(input))
      calls.push(pathname)
      if (unreachable) throw new Error('the server is unreachable')
      const headers = Object.fromEntries(new Headers(init?.headers))
      const {
        statusCode,
        payload,
        headers: responseHeaders,
      } = await server.inject({ url: pathname, headers })
      return new Response(statusCode === 304 ? null : payload, {
        status: statusCode,
        headers: responseHeaders as Record<string, string>,
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
    setUnreachable(value) {
      unreachable = value
    },
  }
}
