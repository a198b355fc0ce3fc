/** The secrets of a client: their list, and the pages to add and to end one. */
import { dateTime } from '../dates.ts'
import { buttonLink, pageUrl } from '../forms.ts'
import { type Html, html } from '../html.ts'
import { CLIENTS_PATH, clientUrl } from './client-url.ts'
import { type Asked, confirmPage } from './confirm.ts'
import { formPage, type ResourceForm } from './form.ts'
import type { ConsoleContext } from './page.ts'
import { secretPage } from './secret.ts'
import { table } from './table.ts'

export interface ShownSecret {
  readonly secret_id: string
  readonly created_at: number
  readonly expires_at: number | null
  readonly last_used_at: number | null
}

export function secretsPanel(client: string, secrets: readonly ShownSecret[], page: ConsoleContext): Html {
  const { clients: words, common } = page.words
  const time = (at: number | null) => (at === null ? common.never : dateTime(page, at))
  return html`<section class="card" aria-labelledby="secrets"><div class="block split"><h2 id="secrets">${words.secrets}</h2>
${buttonLink(clientUrl(page, client, 'secrets/new'), words.newSecret)}</div>
${
  secrets.length === 0
    ? html`<p class="empty">${words.noSecrets}</p>`
    : table({
        caption: words.secrets,
        columns: [
          { label: words.secretId },
          { label: common.created, secondary: true },
          { label: words.lastUsed },
          { label: words.expires, secondary: true },
          { label: '' },
        ],
        rows: secrets.map((secret) => [
          html`<code class="kid">${secret.secret_id}</code>`,
          dateTime(page, secret.created_at),
          time(secret.last_used_at),
          time(secret.expires_at),
          html`<a class="act" href="${pageUrl(page, `${CLIENTS_PATH}/secrets/end`, { client, secret: secret.secret_id })}">${words.endSecret}<span class="visually-hidden"> ${secret.secret_id}</span></a>`,
        ]),
      })
}
</section>`
}

export const newSecretPage = (model: ResourceForm, id: string, page: ConsoleContext): string => {
  const { clients, common } = page.words
  return formPage(model, page, {
    place: 'clients',
    title: clients.newSecretTitle(id),
    subject: id,
    back: { href: clientUrl(page, id), label: id },
    intro: clients.newSecretIntro,
    submit: common.create,
  })
}

export const secretEndPage = (asked: Asked, client: string, secret: string, page: ConsoleContext): string => {
  const { clients } = page.words
  const back = { href: clientUrl(page, client), label: client }
  const follows = [clients.endSecretText]
  const about = {
    place: 'clients',
    title: clients.endSecretTitle(secret),
    subject: secret,
    back,
    follows,
  } as const
  return confirmPage(
    { ...asked, ...about, path: `${CLIENTS_PATH}/secrets/end`, submit: clients.endSecret },
    page,
  )
}

export interface NewSecretModel {
  /** What was done to the client. */
  readonly act: 'created' | 'changed' | 'secret'
  readonly id: string
  readonly secret: string
  /** null for the only secret. */
  readonly secretId: string | null
  /** In English. */
  readonly notes: readonly string[]
}

/** The only response that has the secret. */
export const clientSecretPage = (model: NewSecretModel, page: ConsoleContext): string => {
  const { clients } = page.words
  const { act, id, secret, secretId, notes } = model
  const secretFact = [clients.secretId, html`<code>${secretId}</code>`] as const
  return secretPage(
    {
      place: 'clients',
      title: clients.secretTitle,
      message: clients.done[act](html`<bdi class="name">${id}</bdi>`),
      notes,
      facts: [[clients.id, html`<code>${id}</code>`], ...(secretId === null ? [] : [secretFact])],
      secret,
      next: { href: clientUrl(page, id), label: clients.toClient },
    },
    page,
  )
}
