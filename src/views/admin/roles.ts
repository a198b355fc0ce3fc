/** Pages of roles. */
import { dateTime } from '../dates.ts'
import { buttonLink, pageUrl } from '../forms.ts'
import { html } from '../html.ts'
import { type Asked, deletePage } from './confirm.ts'
import { type FormField, formPage, type ResourceForm, type Values } from './form.ts'
import { type Listed, listPage } from './list.ts'
import { type ConsoleContext, consolePage } from './page.ts'
import { facts, names, panel } from './table.ts'

export interface ShownRole {
  readonly name: string
  readonly scopes: readonly string[]
  readonly requireSecondFactor: boolean
  readonly createdAt: number
  readonly builtIn: boolean
}

export const ROLES_PATH = '/admin/roles'

const roleUrl = (page: ConsoleContext, name: string, act = 'show') =>
  pageUrl(page, `${ROLES_PATH}/${act}`, { name })

export const rolesPage = (list: Listed<ShownRole>, page: ConsoleContext): string => {
  const { roles, common } = page.words
  return listPage(list, page, {
    place: 'roles',
    intro: roles.intro,
    actions: buttonLink(pageUrl(page, `${ROLES_PATH}/new`), roles.new, 'primary'),
    columns: [
      { label: common.name },
      { label: roles.scopes },
      { label: roles.secondFactor, secondary: true },
      { label: common.created, secondary: true },
    ],
    row: ({ name, scopes, requireSecondFactor, createdAt }) => [
      html`<a href="${roleUrl(page, name)}"><bdi>${name}</bdi></a>`,
      names(scopes, common.none),
      requireSecondFactor ? roles.required : html`<span class="muted">–</span>`,
      dateTime(page, createdAt),
    ],
  })
}

export const rolePage = (role: ShownRole, page: ConsoleContext): string => {
  const { roles, common, places } = page.words
  return consolePage(page, {
    place: 'roles',
    title: role.name,
    back: { href: pageUrl(page, ROLES_PATH), label: places.roles },
    actions:
      !role.builtIn &&
      html`${buttonLink(roleUrl(page, role.name, 'change'), common.change)}${buttonLink(roleUrl(page, role.name, 'delete'), common.delete, 'danger')}`,
    ...(role.builtIn ? { intro: roles.builtIn } : {}),
    content: panel({
      id: 'facts',
      title: roles.scopes,
      content: facts([
        [roles.scopes, names(role.scopes, common.none)],
        [roles.secondFactor, role.requireSecondFactor ? roles.required : common.no],
        [common.created, dateTime(page, role.createdAt)],
        [
          roles.users,
          html`<a href="${pageUrl(page, '/admin/users', { role: role.name })}">${places.users}</a>`,
        ],
      ]),
    }),
  })
}

export const roleValues = (role: Pick<ShownRole, 'name' | 'scopes' | 'requireSecondFactor'>): Values => ({
  name: role.name,
  scopes: role.scopes.join('\n'),
  require_second_factor: role.requireSecondFactor ? 'yes' : '',
})

/** @param isNew the name of a role cannot be changed */
export const roleFields = ({ words }: Pick<ConsoleContext, 'words'>, isNew: boolean): FormField[] => [
  ...(isNew ? [{ name: 'name', label: words.common.name, kind: 'text', required: true } as const] : []),
  { name: 'scopes', label: words.roles.scopes, kind: 'lines', hint: words.common.onePerLine, required: true },
  { name: 'require_second_factor', label: words.roles.requireSecondFactor, kind: 'check' },
]

/** @param name null for a new role */
export const roleFormPage = (model: ResourceForm, name: string | null, page: ConsoleContext): string => {
  const { roles, common, places } = page.words
  return formPage(model, page, {
    place: 'roles',
    title: name === null ? roles.newTitle : roles.changeTitle(name),
    subject: name ?? '',
    back:
      name === null
        ? { href: pageUrl(page, ROLES_PATH), label: places.roles }
        : { href: roleUrl(page, name), label: name },
    ...(name === null ? {} : { intro: roles.changeHint }),
    submit: name === null ? common.create : common.save,
  })
}

export const roleDeletePage = (asked: Asked, name: string, page: ConsoleContext): string => {
  const { deleteTitle, deleteText } = page.words.roles
  const about = { place: 'roles', title: deleteTitle(name), subject: name } as const
  return deletePage(asked, { ...about, shown: roleUrl(page, name), follows: deleteText }, page)
}
