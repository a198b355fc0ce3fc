/** When a node knows, without a query, that it has everything that is in the store. */
import t from 'tap'
import { createViews, type ViewsDeps } from '../../src/node/views.ts'

/** A node whose store has the version '1'. */
function world() {
  const state: { version: string | undefined; failure?: Error; duringLook(): void } = {
    version: '1',
    duringLook() {},
  }
  const sync = async () => {}
  const deps: ViewsDeps = {
    clusterClock: { poll: sync },
    store: {
      db: { version: () => state.version },
      revisions: {
        read: async () => ({ ring: 1, registry: 1, status: 1, dataKeys: 1, logoutDueAt: null }),
      },
    },
    ring: { sync },
    dataKeys: { sync },
    registry: { sync },
    statusLists: {
      async sync() {
        state.duringLook()
        if (state.failure) throw state.failure
      },
    },
  }
  return { state, views: createViews(deps) }
}

t.test('after a look, nothing has changed until the engine says that something was written', async (t) => {
  const { state, views } = world()
  t.equal(views.isUnchanged(), false, 'there was no look')
  await views.look()
  t.equal(views.isUnchanged(), true)
  state.version = '2'
  t.equal(views.isUnchanged(), false)
  await views.look()
  t.equal(views.isUnchanged(), true)
})

t.test('what is written during a look is looked at afterwards', async (t) => {
  const { state, views } = world()
  state.duringLook = () => {
    state.version = '2'
  }
  await views.look()
  t.equal(views.isUnchanged(), false)
})

t.test('a look that failed does not count', async (t) => {
  const { state, views } = world()
  state.failure = new Error('away')
  await t.rejects(views.look(), state.failure)
  t.equal(views.isUnchanged(), false)
})

t.test('if the engine cannot tell, something may have changed', async (t) => {
  const { state, views } = world()
  state.version = undefined
  await views.look()
  t.equal(views.isUnchanged(), false)
})
