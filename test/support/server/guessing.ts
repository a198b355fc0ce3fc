/** Sign-ins with right and wrong passwords from addresses of the test's choice. */
import argon2 from 'argon2'
import type { LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { LIMITS } from '../../../src/accounts/rate-limiter.ts'
import { basic, encodeForm } from './requests.ts'
import { PASSWORD, seed, user } from './seed.ts'
import { type TestServer, type TestServerOptions, testServer } from './server.ts'

export const HOME = '192.0.2.1'

export async function started(t: Test, options: TestServerOptions = {}): Promise<TestServer> {
  const server = await testServer(options)
  t.teardown(() => server.close())
  if (!(await server.store.users.findByUsername('alice'))) await seed(server.store)
  return server
}

export interface Attempt {
  readonly username?: string
  readonly password?: string
  readonly from?: string
}

export function attempt(
  server: TestServer,
  { username = 'alice', password = PASSWORD, from = HOME }: Attempt = {},
) {
  return server.inject({
    method: 'POST',
    url: '/oauth2/token',
    remoteAddress: from,
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: basic('app') },
    payload: encodeForm({ grant_type: 'password', username, password }),
  })
}

export const cheap = argon2.hash(PASSWORD, { type: argon2.argon2id, memoryCost: 1024, timeCost: 1 })

/** As many accounts as one address may guess at. */
export async function crowd({ store }: TestServer): Promise<void> {
  for (let n = 0; n < LIMITS.address.burst; n += 1) {
    await store.users.insert(await user({ username: `user${n}`, passwordHash: await cheap }))
  }
}

/** The statuses of so many wrong guesses, one after the other. */
export async function guess(server: TestServer, times: number, one: Attempt | ((n: number) => Attempt) = {}) {
  // Looking at hundreds of wrong passwords takes long, and that is not what is tested here.
  const { users } = server.store
  const alice = await users.findByUsername('alice')
  if (alice) await users.setPasswordHash(alice.id, await cheap)
  const statuses: number[] = []
  for (let n = 0; n < times; n += 1) {
    const made = typeof one === 'function' ? one(n) : one
    statuses.push((await attempt(server, { password: 'wrong', ...made })).statusCode)
  }
  return statuses
}

export const counts = (statuses: readonly number[]) => ({
  wrong: statuses.filter((status) => status === 400).length,
  throttled: statuses.filter((status) => status === 429).length,
})
export const waitOf = (answer: LightMyRequestResponse) => Number(answer.headers['retry-after'])
