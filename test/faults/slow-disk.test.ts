import { once } from 'node:events'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import t from 'tap'
import { clientCredentials, refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { signedIn } from '../support/server/tokens.ts'
import { isPending, until } from '../support/server/waiting.ts'

t.test('on a slow disk, requests that write nothing do not wait for a commit that does', async (t) => {
  const writing = once(process, 'worker')
  const server = await testServer({
    database: join(t.testdir(), 'keyturn.db'),
    nodeInfo: { hostname: 'node', pid: 1 },
    flushDelay: 20,
  })
  t.teardown(() => server.close())
  await seed(server.store)
  const [thread] = (await writing) as [Worker]
  let { refresh_token: token } = await signedIn(server)
  t.equal((await clientCredentials(server)).statusCode, 200, 'what is written once has been')

  const { postMessage } = thread
  const held: unknown[] = []
  thread.postMessage = (message) => held.push(message)
  let refreshing = refresh(server, token)
  while (held.length === 0) {
    // Until the thread is ready, commits are still made without it.
    const answer = await Promise.race([refreshing, until(() => held.length > 0)])
    if (!answer) break
    token = answer.json().refresh_token
    refreshing = refresh(server, token)
  }

  t.equal((await clientCredentials(server)).statusCode, 200)
  t.equal((await server.inject({ url: '/.well-known/jwks.json' })).statusCode, 200)
  t.equal((await server.inject({ url: '/.well-known/oauth-authorization-server' })).statusCode, 200)
  t.ok(await isPending(refreshing), 'the commit has not been answered yet')

  thread.postMessage = postMessage
  for (const message of held) thread.postMessage(message)
  t.equal((await refreshing).statusCode, 200)
})
