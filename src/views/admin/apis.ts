/** Pages of APIs. Their members have the names of the JSON. */
import { dateTime } from '../dates.ts'
import { buttonLink, pageUrl } from '../forms.ts'
import { html } from '../html.ts'
import { type Asked, deletePage } from './confirm.ts'
import { type FormField, formPage, type ResourceForm, type Values } from './form.ts'
import { type Listed, listPage } from './list.ts'
import { type ConsoleContext, consolePage } from './page.ts'
import { facts, names, panel } from './table.ts'

export interface ShownApi {
  readonly identifier: string
  readonly name?: string
  readonly scopes: readonly string[]
  readonly scope_texts?: Readonly<Record<string, string>>
  /** null: that of the server. */
  readonly access_token_ttl: number | null
  /** Without it, that of the ring. */
  readonly signing_alg?: string
  readonly created_at: number
}

export const APIS_PATH = '/admin/apis'

const apiUrl = (page: ConsoleContext, identifier: string, act = 'show') =>
  pageUrl(page, `${APIS_PATH}/${act}`, { identifier })

export const apisPage = (list: Listed<ShownApi>, page: ConsoleContext): string => {
  const { apis, common } = page.words
  return listPage(list, page, {
    place: 'apis',
    intro: apis.intro,
    actions: buttonLink(pageUrl(page, `${APIS_PATH}/new`), apis.new, 'primary'),
    columns: [{ label: apis.identifier }, { label: apis.scopes }, { label: common.created, secondary: true }],
    row: (api) => [
      html`<a href="${apiUrl(page, api.identifier)}"><bdi>${api.identifier}</bdi></a>${api.name !== undefined && html`<br><bdi class="muted">${api.name}</bdi>`}`,
      names(api.scopes, common.none),
      dateTime(page, api.created_at),
    ],
  })
}

export const apiPage = (api: ShownApi, page: ConsoleContext): string => {
  const { apis, common, places } = page.words
  const texts = Object.entries(api.scope_texts ?? {})
  return consolePage(page, {
    place: 'apis',
    title: api.identifier,
    back: { href: pageUrl(page, APIS_PATH), label: places.apis },
    actions: html`${buttonLink(apiUrl(page, api.identifier, 'change'), common.change)}${buttonLink(apiUrl(page, api.identifier, 'delete'), common.delete, 'danger')}`,
    content: panel({
      id: 'facts',
      title: api.name ?? api.identifier,
      content: facts([
        [apis.scopes, names(api.scopes, common.none)],
        [
          apis.texts,
          texts.length === 0
            ? html`<span class="muted">–</span>`
            : html`<ul>${texts.map(([scope, text]) => html`<li><code>${scope}</code> <bdi>${text}</bdi></li>`)}</ul>`,
        ],
        [apis.ttl, api.access_token_ttl === null ? apis.serverTtl : String(api.access_token_ttl)],
        [
          apis.algorithm,
          api.signing_alg === undefined ? apis.ringAlgorithm : html`<code>${api.signing_alg}</code>`,
        ],
        [common.created, dateTime(page, api.created_at)],
      ]),
    }),
  })
}

export const apiValues = (api: ShownApi): Values => ({
  identifier: api.identifier,
  name: api.name ?? '',
  scopes: api.scopes.join('\n'),
  scope_texts: Object.entries(api.scope_texts ?? {})
    .map(([scope, text]) => `${scope} = ${text}`)
    .join('\n'),
  access_token_ttl: api.access_token_ttl === null ? '' : String(api.access_token_ttl),
  signing_alg: api.signing_alg ?? '',
})

/** @param isNew the identifier of an API cannot be changed */
export const apiFields = (
  { words }: Pick<ConsoleContext, 'words'>,
  algorithms: readonly string[],
  isNew: boolean,
): FormField[] => {
  const { apis, common } = words
  const identifier = {
    name: 'identifier',
    label: apis.identifier,
    kind: 'text',
    hint: apis.identifierHint,
    required: true,
  } as const
  return [
    ...(isNew ? [identifier] : []),
    { name: 'name', label: apis.name, kind: 'text' },
    { name: 'scopes', label: apis.scopes, kind: 'lines', hint: common.onePerLine },
    { name: 'scope_texts', label: apis.texts, kind: 'lines', hint: apis.textsHint },
    { name: 'access_token_ttl', label: apis.ttl, kind: 'text', hint: apis.ttlHint },
    {
      name: 'signing_alg',
      label: apis.algorithm,
      kind: 'choice',
      options: [
        { value: '', label: apis.ringAlgorithm },
        ...algorithms.map((value) => ({ value, label: value })),
      ],
    },
  ]
}

/** @param identifier null for a new API */
export const apiFormPage = (model: ResourceForm, identifier: string | null, page: ConsoleContext): string => {
  const { apis, common, places } = page.words
  return formPage(model, page, {
    place: 'apis',
    title: identifier === null ? apis.newTitle : apis.changeTitle(identifier),
    subject: identifier ?? '',
    back:
      identifier === null
        ? { href: pageUrl(page, APIS_PATH), label: places.apis }
        : { href: apiUrl(page, identifier), label: identifier },
    submit: identifier === null ? common.create : common.save,
  })
}

export const apiDeletePage = (asked: Asked, identifier: string, page: ConsoleContext): string => {
  const { deleteTitle, deleteText } = page.words.apis
  const about = { place: 'apis', title: deleteTitle(identifier), subject: identifier } as const
  return deletePage(asked, { ...about, shown: apiUrl(page, identifier), follows: deleteText }, page)
}
