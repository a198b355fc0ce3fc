import { AdminError, invalidValue, notFound, PROBLEMS } from '../../../admin/errors.ts'
import type { SessionView } from '../../../admin/sessions.schema.ts'
import {
  SESSIONS_PATH,
  sessionEndPage,
  sessionsEndAllPage,
  sessionsPage,
} from '../../../views/admin/sessions.ts'
import { type Confirming, confirmRoutes } from './confirming.ts'
import { PAGE_SIZE } from './listing.ts'
import { type ConsoleRoute, given, routesOf, type Visit } from './visit.ts'

async function list({ request, admin, page, send }: Visit) {
  const { query } = request
  const [user, client] = [query.get('user')?.trim() ?? '', query.get('client')?.trim() ?? '']
  const cursor = query.get('cursor')
  const model = { user, client, continued: cursor !== undefined }
  const filter = { ...(user === '' ? {} : { user }), ...(client === '' ? {} : { client }) }
  try {
    const { items, next_cursor: nextCursor } = await admin.sessions.list({
      ...filter,
      cursor,
      limit: PAGE_SIZE,
    })
    return send(sessionsPage({ ...model, items, nextCursor, problem: null }, page))
  } catch (error) {
    if (!(error instanceof AdminError)) throw error
    const refused = { ...model, items: [], nextCursor: null, problem: error.message }
    return send(sessionsPage(refused, page), PROBLEMS[error.problem].status)
  }
}

function ending(visit: Visit): Confirming<SessionView> {
  const { admin, page, leave } = visit
  const id = given(visit, 'session')
  return {
    hidden: { session: id },
    async find() {
      const [value] = (await admin.sessions.list({ id, limit: 1 })).items
      if (!value) throw notFound(`there is no session ${id}`)
      return { value, revision: null }
    },
    values: ({ state }) => ({ state }),
    labels: [{ name: 'state', label: page.words.sessions.state, kind: 'text' }],
    render: ({ value }, asked) => sessionEndPage(asked, value, page),
    act: () => admin.sessions.end(id),
    acted: ({ notes }) => leave(SESSIONS_PATH, {}, { place: 'sessions', act: 'ended', subject: id, notes }),
  }
}

function endingAll(visit: Visit): Confirming<null> {
  const { admin, page, leave } = visit
  const [user, client] = [given(visit, 'user'), given(visit, 'client')]
  if ((user === '') === (client === ''))
    throw invalidValue('user', 'exactly one of user and client is needed')
  const of = user === '' ? { client } : { user }
  return {
    hidden: of,
    find: async () => {
      // Refuses a name that does not exist.
      await admin.sessions.list({ ...of, limit: 1 })
      return { value: null, revision: null }
    },
    values: () => ({}),
    labels: [],
    render: (_found, asked) => sessionsEndAllPage(asked, of, page),
    act: () => admin.sessions.endAll(of),
    acted: ({ notes }) =>
      leave(SESSIONS_PATH, of, { place: 'sessions', act: 'endedAll', subject: user || client, notes }),
  }
}

export const sessionRoutes: readonly ConsoleRoute[] = routesOf('sessions', [
  ['GET', '', list],
  ...confirmRoutes('/end', ending),
  ...confirmRoutes('/end-all', endingAll),
])
