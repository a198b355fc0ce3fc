import t from 'tap'
import { signOutEverywhere } from '../../src/accounts/sign-out.ts'
import { createAudit } from '../../src/audit/events.ts'
import { insertOwners, session } from '../contracts/client-sessions.ts'
import { code } from '../contracts/codes.ts'
import { signIn } from '../contracts/user-sessions.ts'
import { testLogger } from '../support/server/log.ts'
import { testServer } from '../support/server/server.ts'

t.test(
  'a code issued before the sign-out begins no session, at whatever moment it is redeemed (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    const server = await testServer()
    t.teardown(() => server.close())
    const { clock, store } = server
    await insertOwners(store)
    const now = clock.now()
    const ends = { expiresAt: now + 999, idleExpiresAt: now + 999 }
    await store.userSessions.insert(signIn(ends), 'h')
    const redeem = (id: string) =>
      store.codes.redeem(id, session({ id, userSessionId: 'browser', offline: true, ...ends }), now, 5)
    for (const id of ['before', 'between', 'after']) {
      await store.codes.insert(id, code({ clientSessionId: id, expiresAt: now + 60 }), now)
    }
    await redeem('before')
    const { clientSessions } = store
    // The last query for sessions has run; a session that began now would survive.
    const late = {
      ...clientSessions,
      async revokeMatching(...args: Parameters<typeof clientSessions.revokeMatching>) {
        const ended = await clientSessions.revokeMatching(...args)
        t.equal(await redeem('between'), false)
        return ended
      },
    }
    const deps = {
      store: { userSessions: store.userSessions, clientSessions: late },
      clock,
      audit: createAudit(testLogger()),
    }
    const ended = await signOutEverywhere(deps, 'alice', 'password changed', 'operator:test')
    t.same(ended, { userSessions: ['browser'], clientSessions: ['before'] })
    t.equal(await redeem('after'), false)
    t.same(
      (await clientSessions.list({}, 10)).filter((one) => one.revokedAt === null),
      [],
    )
  },
)
