import type { OneTimeLinkView, UserChangeView, UserView } from '../../../admin/users.schema.ts'
import type { Changed } from '../../../admin/verbs.ts'
import type { Values } from '../../../views/admin/form.ts'
import {
  USERS_PATH,
  type UserAct,
  userConfirmPage,
  userFields,
  userFormPage,
  userLinkPage,
  userPage,
  usersPage,
  userUrl,
  userValues,
} from '../../../views/admin/users.ts'
import { pageUrl } from '../../../views/forms.ts'
import { type Confirming, confirmRoutes } from './confirming.ts'
import { type Editing, formRoutes, linesOf, textOf } from './editing.ts'
import { listed, pageQueryOf } from './listing.ts'
import { type ConsoleRoute, given, type PlaceRoute, routesOf, type Visit } from './visit.ts'

const list = async ({ request, admin, page, send }: Visit) => {
  const role = request.query.get('role')?.slice(0, 200)
  const users = await admin.users.list({ ...pageQueryOf(request), role })
  return send(usersPage({ ...listed(request, users, (user) => user), filters: { role } }, page))
}

const show = async (visit: Visit) => {
  const { value } = await visit.admin.users.find(given(visit, 'user'))
  return visit.send(userPage(value, visit.onceField(), visit.page))
}

const TEXTS = ['name', 'given_name', 'family_name', 'email', 'locale', 'zoneinfo'] as const

type Change = { -readonly [Name in keyof UserChangeView]: UserChangeView[Name] }

/** @param changed the fields that the administrator has touched: only these are sent */
function changeOf(values: Values, changed: ReadonlySet<string>): UserChangeView {
  const change: Change = {}
  for (const name of TEXTS) if (changed.has(name)) change[name] = textOf(values[name])
  if (changed.has('username')) change.username = values.username ?? ''
  if (changed.has('email_verified')) change.email_verified = values.email_verified === 'yes'
  if (changed.has('roles')) change.roles = linesOf(values.roles)
  return change
}

/** A link is in this response and in no other. */
const showLink =
  ({ page, send, leave }: Visit, act: 'invited' | 'link') =>
  ({ value, notes }: Changed<OneTimeLinkView>) => {
    const { username, link, expires_at: expiresAt } = value
    if (link === undefined)
      return leave(
        `${USERS_PATH}/show`,
        { user: username },
        { place: 'users', act: 'shown', subject: username, notes },
      )
    return send(userLinkPage({ act, username, link, expiresAt, notes }, page))
  }

function inviting(visit: Visit): Editing<UserView, OneTimeLinkView> {
  const { admin, page } = visit
  return {
    path: `${USERS_PATH}/new`,
    cancel: pageUrl(page, USERS_PATH),
    hidden: {},
    fields: userFields(page),
    initial: {},
    resource: null,
    isOnce: true,
    save(values) {
      const { username = '', ...invitation } = changeOf(values, new Set(Object.keys(values)))
      return admin.users.invite(username, invitation)
    },
    render: (model) => userFormPage(model, null, page),
    saved: showLink(visit, 'invited'),
  }
}

function changing(visit: Visit): Editing<UserView, UserView> {
  const { admin, page, leave } = visit
  const user = given(visit, 'user')
  return {
    path: `${USERS_PATH}/change`,
    cancel: userUrl(page, user),
    hidden: { user },
    fields: userFields(page),
    initial: {},
    resource: { find: () => admin.users.find(user), values: userValues },
    save: (values, { ifMatch, force }, changed) =>
      admin.users.update(user, changeOf(values, changed), { ifMatch, force }),
    render: (model) => userFormPage(model, user, page),
    saved: ({ value: { username }, notes }) =>
      leave(
        `${USERS_PATH}/show`,
        { user: username },
        { place: 'users', act: 'changed', subject: username, notes },
      ),
  }
}

/** What a page of confirmation does, and where it leads. */
const ACTS: Readonly<
  Record<
    UserAct,
    {
      readonly done: string
      readonly run: (
        visit: Visit,
        user: string,
        choice: { readonly ifMatch: number | undefined; readonly force: boolean },
      ) => Promise<Changed<unknown>>
    }
  >
> = {
  disable: { done: 'disabled', run: ({ admin }, user, choice) => admin.users.disable(user, choice) },
  delete: { done: 'deleted', run: ({ admin }, user, choice) => admin.users.delete(user, choice) },
  'reset-second-factor': {
    done: 'factors',
    run: ({ admin }, user, { ifMatch }) => admin.users.resetSecondFactor(user, { ifMatch }),
  },
}

function acting(visit: Visit, act: UserAct): Confirming<UserView> {
  const { admin, page, leave } = visit
  const user = given(visit, 'user')
  const { done, run } = ACTS[act]
  return {
    hidden: { user },
    insist: page.words.users.lockOut,
    find: () => admin.users.find(user),
    values: userValues,
    labels: userFields(page),
    render: (_found, asked) => userConfirmPage(asked, act, user, page),
    act: (choice) => run(visit, user, choice),
    acted({ notes }) {
      const message = { place: 'users', act: done, subject: user, notes } as const
      return act === 'delete'
        ? leave(USERS_PATH, {}, message)
        : leave(`${USERS_PATH}/show`, { user }, message)
    },
  }
}

const enable = async (visit: Visit) => {
  const user = given(visit, 'user')
  const { notes } = await visit.admin.users.enable(user)
  const done = { place: 'users', act: 'enabled', subject: user, notes } as const
  return visit.leave(`${USERS_PATH}/show`, { user }, done)
}

const resetLink = async (visit: Visit) => {
  const user = given(visit, 'user')
  return showLink(visit, 'link')(await visit.once(user, () => visit.admin.users.resetLink(user)))
}

const confirmations = (Object.keys(ACTS) as UserAct[]).flatMap((act): PlaceRoute[] => [
  ...confirmRoutes(`/${act}`, (visit) => acting(visit, act)),
])

export const userRoutes: readonly ConsoleRoute[] = routesOf('users', [
  ['GET', '', list],
  ['GET', '/show', show],
  ...formRoutes('/new', inviting),
  ...formRoutes('/change', changing),
  ['POST', '/enable', enable],
  ['POST', '/reset-link', resetLink],
  ...confirmations,
])
