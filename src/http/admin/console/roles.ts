import { ADMIN_ROLE } from '../../../admin/built-ins.ts'
import type { RoleView } from '../../../admin/roles.schema.ts'
import {
  ROLES_PATH,
  roleDeletePage,
  roleFields,
  roleFormPage,
  rolePage,
  rolesPage,
  roleValues,
  type ShownRole,
} from '../../../views/admin/roles.ts'
import { pageUrl } from '../../../views/forms.ts'
import { type Confirming, confirmRoutes } from './confirming.ts'
import { type Editing, formRoutes, linesOf } from './editing.ts'
import { listPage } from './listing.ts'
import { type ConsoleRoute, given, routesOf, type Visit } from './visit.ts'

const shownOf = (role: RoleView): ShownRole => ({
  name: role.name,
  scopes: role.scopes,
  requireSecondFactor: role.require_second_factor,
  createdAt: role.created_at,
  builtIn: role.name === ADMIN_ROLE,
})

const valuesOf = (role: RoleView) => roleValues(shownOf(role))

const show = async ({ request, admin, page, send }: Visit) => {
  const { value } = await admin.roles.find(request.query.get('name') ?? '')
  return send(rolePage(shownOf(value), page))
}

function creating({ admin, page, leave }: Visit): Editing<RoleView> {
  return {
    path: `${ROLES_PATH}/new`,
    cancel: pageUrl(page, ROLES_PATH),
    hidden: {},
    fields: roleFields(page, true),
    initial: {},
    resource: null,
    fieldNames: { scope: 'scopes' },
    save: (values, choice) =>
      admin.roles.create(
        {
          name: values.name ?? '',
          scopes: linesOf(values.scopes),
          require_second_factor: values.require_second_factor === 'yes',
        },
        choice,
      ),
    render: (model) => roleFormPage(model, null, page),
    saved: ({ notes }, { name = '' }) =>
      leave(`${ROLES_PATH}/show`, { name }, { place: 'roles', act: 'created', subject: name, notes }),
  }
}

function changing(visit: Visit): Editing<RoleView> {
  const { admin, page, leave } = visit
  const name = given(visit, 'name')
  return {
    path: `${ROLES_PATH}/change`,
    cancel: pageUrl(page, `${ROLES_PATH}/show`, { name }),
    hidden: { name },
    fields: roleFields(page, false),
    initial: {},
    resource: { find: () => admin.roles.find(name), values: valuesOf },
    fieldNames: { scope: 'scopes' },
    save: (values, choice) =>
      admin.roles.update(
        name,
        { scopes: linesOf(values.scopes), require_second_factor: values.require_second_factor === 'yes' },
        choice,
      ),
    render: (model) => roleFormPage(model, name, page),
    saved: ({ notes }) =>
      leave(`${ROLES_PATH}/show`, { name }, { place: 'roles', act: 'changed', subject: name, notes }),
  }
}

function deleting(visit: Visit): Confirming<RoleView> {
  const { admin, page, leave } = visit
  const name = given(visit, 'name')
  return {
    hidden: { name },
    find: () => admin.roles.find(name),
    values: valuesOf,
    labels: roleFields(page, false),
    render: (_found, asked) => roleDeletePage(asked, name, page),
    act: ({ ifMatch }) => admin.roles.delete(name, { ifMatch }),
    acted: ({ notes }) => leave(ROLES_PATH, {}, { place: 'roles', act: 'deleted', subject: name, notes }),
  }
}

const list = listPage({ list: ({ roles }, query) => roles.list(query), shown: shownOf, render: rolesPage })

export const roleRoutes: readonly ConsoleRoute[] = routesOf('roles', [
  ['GET', '', list],
  ['GET', '/show', show],
  ...formRoutes('/new', creating),
  ...formRoutes('/change', changing),
  ...confirmRoutes('/delete', deleting),
])
