/** Pages of users. Their members have the names of the JSON. */
import { dateTime } from '../dates.ts'
import { button, buttonLink, form, type HiddenFields, pageUrl } from '../forms.ts'
import { type Content, type Html, html } from '../html.ts'
import { type Asked, confirmPage } from './confirm.ts'
import { type FormField, formPage, type ResourceForm, type Values } from './form.ts'
import { type Listed, listPage } from './list.ts'
import { type ConsoleContext, consolePage } from './page.ts'
import { secretPage } from './secret.ts'
import { facts, names, panel } from './table.ts'

export interface ShownUser {
  readonly id: string
  readonly username: string
  readonly name: string | null
  readonly given_name: string | null
  readonly family_name: string | null
  readonly locale: string | null
  readonly zoneinfo: string | null
  readonly roles: readonly string[]
  readonly email: string | null
  readonly email_verified: boolean
  readonly disabled: boolean
  readonly created_at: number
  readonly browsers?: number
}

export const USERS_PATH = '/admin/users'

export const userUrl = (page: ConsoleContext, user: string, act = 'show') =>
  pageUrl(page, `${USERS_PATH}/${act}`, { user })

const state = (disabled: boolean, { words }: ConsoleContext): Html =>
  disabled
    ? html`<span class="state bad">${words.users.disabled}</span>`
    : html`<span class="state good">${words.users.enabled}</span>`

const text = (value: string | null): Content =>
  value === null ? html`<span class="muted">–</span>` : html`<bdi>${value}</bdi>`

export const usersPage = (list: Listed<ShownUser>, page: ConsoleContext): string => {
  const { users, common } = page.words
  const role = list.filters?.role
  return listPage(list, page, {
    place: 'users',
    intro: users.intro,
    actions: buttonLink(pageUrl(page, `${USERS_PATH}/new`), users.new, 'primary'),
    before: typeof role === 'string' && html`<p>${users.withRole(html`<bdi class="name">${role}</bdi>`)}</p>`,
    columns: [
      { label: users.username },
      { label: users.email, secondary: true },
      { label: users.roles, secondary: true },
      { label: users.state },
      { label: common.created, secondary: true },
    ],
    row: (user) => [
      html`<a href="${userUrl(page, user.username)}"><bdi>${user.username}</bdi></a>${user.name !== null && html`<br><bdi class="muted">${user.name}</bdi>`}`,
      text(user.email),
      names(user.roles, '–'),
      state(user.disabled, page),
      dateTime(page, user.created_at),
    ],
  })
}

/** @param once of the form that makes a link */
export function userPage(user: ShownUser, once: HiddenFields, page: ConsoleContext): string {
  const { users: words, common, places } = page.words
  const { username } = user
  const act = (path: string, label: string, fields: HiddenFields = {}): Html =>
    form(page, {
      path: `${USERS_PATH}/${path}`,
      fields: { user: username, ...fields },
      content: button({ label, kind: 'secondary' }),
    })
  const verified = user.email_verified ? words.verified : words.unverified
  return consolePage(page, {
    place: 'users',
    title: username,
    back: { href: pageUrl(page, USERS_PATH), label: places.users },
    actions: html`${buttonLink(userUrl(page, username, 'change'), common.change)}${
      user.disabled
        ? act('enable', words.enable)
        : buttonLink(userUrl(page, username, 'disable'), words.disable)
    }${buttonLink(userUrl(page, username, 'delete'), common.delete, 'danger')}`,
    content: html`<div class="grid">
${panel({
  id: 'account',
  title: words.account,
  content: facts([
    [words.id, html`<code>${user.id}</code>`],
    [words.state, state(user.disabled, page)],
    [words.roles, names(user.roles, '–')],
    [words.browsers, String(user.browsers ?? 0)],
    [common.created, dateTime(page, user.created_at)],
  ]),
})}
${panel({
  id: 'profile',
  title: words.profile,
  content: facts([
    [words.name, text(user.name)],
    [words.givenName, text(user.given_name)],
    [words.familyName, text(user.family_name)],
    [
      words.email,
      user.email === null
        ? text(null)
        : html`<bdi>${user.email}</bdi> <span class="muted">(${verified})</span>`,
    ],
    [words.locale, text(user.locale)],
    [words.zoneinfo, text(user.zoneinfo)],
  ]),
})}
</div>
${panel({
  id: 'help',
  title: words.help,
  content: html`<p class="muted">${words.resetLinkHint}</p>
<div class="buttons">${act('reset-link', words.resetLink, once)}${buttonLink(userUrl(page, username, 'reset-second-factor'), words.resetFactors)}${buttonLink(pageUrl(page, '/admin/sessions', { user: username }), words.sessions)}</div>`,
})}`,
  })
}

const TEXTS = ['name', 'given_name', 'family_name', 'email', 'locale', 'zoneinfo'] as const

export const userValues = (user: ShownUser): Values => ({
  username: user.username,
  ...Object.fromEntries(TEXTS.map((name) => [name, user[name] ?? ''])),
  email_verified: user.email_verified ? 'yes' : '',
  roles: user.roles.join('\n'),
})

export const userFields = ({ words }: Pick<ConsoleContext, 'words'>): FormField[] => {
  const { users } = words
  const field = (name: string, label: string): FormField => ({ name, label, kind: 'text' })
  return [
    { ...field('username', users.username), required: true },
    { name: 'roles', label: users.roles, kind: 'lines', hint: users.rolesHint },
    { ...field('name', users.name), group: users.profile },
    field('given_name', users.givenName),
    field('family_name', users.familyName),
    field('email', users.email),
    { name: 'email_verified', label: users.emailVerified, kind: 'check' },
    field('locale', users.locale),
    field('zoneinfo', users.zoneinfo),
  ]
}

/** @param username null for a new user */
export const userFormPage = (model: ResourceForm, username: string | null, page: ConsoleContext): string => {
  const { users, common, places } = page.words
  return formPage(model, page, {
    place: 'users',
    title: username === null ? users.newTitle : users.changeTitle(username),
    subject: username ?? '',
    back:
      username === null
        ? { href: pageUrl(page, USERS_PATH), label: places.users }
        : { href: userUrl(page, username), label: username },
    ...(username === null ? { intro: users.newIntro } : {}),
    submit: username === null ? users.invite : common.save,
  })
}

export interface UserLink {
  readonly act: 'invited' | 'link'
  readonly username: string
  readonly link: string
  readonly expiresAt: number
  /** In English. */
  readonly notes: readonly string[]
}

/** The only response that has the link. */
export const userLinkPage = (
  { act, username, link, expiresAt, notes }: UserLink,
  page: ConsoleContext,
): string => {
  const { users } = page.words
  return secretPage(
    {
      place: 'users',
      title: users.linkTitle,
      message: users.done[act](html`<bdi class="name">${username}</bdi>`),
      notes,
      facts: [
        [users.username, html`<bdi>${username}</bdi>`],
        [users.expires, dateTime(page, expiresAt)],
      ],
      secret: link,
      next: { href: userUrl(page, username), label: users.toUser },
    },
    page,
  )
}

export type UserAct = 'disable' | 'delete' | 'reset-second-factor'

export const userConfirmPage = (
  asked: Asked,
  act: UserAct,
  username: string,
  page: ConsoleContext,
): string => {
  const { users, common } = page.words
  const texts = {
    disable: { title: users.disableTitle(username), follows: users.disableText, submit: users.disable },
    delete: { title: users.deleteTitle(username), follows: users.deleteText, submit: common.delete },
    'reset-second-factor': {
      title: users.resetFactorsTitle(username),
      follows: users.resetFactorsText,
      submit: users.resetFactors,
    },
  }[act]
  return confirmPage(
    {
      ...asked,
      ...texts,
      follows: [texts.follows],
      place: 'users',
      subject: username,
      back: { href: userUrl(page, username), label: username },
      path: `${USERS_PATH}/${act}`,
    },
    page,
  )
}
