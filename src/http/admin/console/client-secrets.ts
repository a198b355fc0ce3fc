import type { AddedSecretView, ClientSecretView } from '../../../admin/clients.schema.ts'
import { notFound } from '../../../admin/errors.ts'
import { clientSecretPage, newSecretPage, secretEndPage } from '../../../views/admin/client-secrets.ts'
import { CLIENTS_PATH, clientUrl } from '../../../views/admin/client-url.ts'
import { type Confirming, confirmRoutes } from './confirming.ts'
import { type Editing, formRoutes } from './editing.ts'
import { given, type PlaceRoute, type Visit } from './visit.ts'

const OVERLAPS = { none: 0, hour: 3600, day: 86_400, week: 604_800 } as const

const isOverlap = (text: string): text is keyof typeof OVERLAPS => Object.hasOwn(OVERLAPS, text)

function adding(visit: Visit): Editing<unknown, AddedSecretView> {
  const { admin, page, send, leave } = visit
  const { clients: words } = page.words
  const id = given(visit, 'client')
  const options = Object.keys(OVERLAPS) as (keyof typeof OVERLAPS)[]
  return {
    path: `${CLIENTS_PATH}/secrets/new`,
    cancel: clientUrl(page, id),
    hidden: { client: id },
    fields: [
      {
        name: 'overlap',
        label: words.overlap,
        kind: 'choice',
        options: options.map((value) => ({ value, label: words.overlaps[value] })),
      },
    ],
    initial: { overlap: 'day' },
    resource: null,
    isOnce: true,
    save({ overlap = 'none' }) {
      const seconds = isOverlap(overlap) ? OVERLAPS[overlap] : 0
      return admin.clients.addSecret(id, { overlap_seconds: seconds })
    },
    render: (model) => newSecretPage(model, id, page),
    saved: ({ value, notes }) => {
      const { secret_id: secretId, client_secret: secret } = value
      if (secret === undefined)
        return leave(
          `${CLIENTS_PATH}/show`,
          { client: id },
          { place: 'clients', act: 'shown', subject: id, notes },
        )
      return send(clientSecretPage({ act: 'secret', id, secret, secretId, notes }, page))
    },
  }
}

function ending(visit: Visit): Confirming<readonly ClientSecretView[]> {
  const { admin, page, leave } = visit
  const { clients: words } = page.words
  const [client, secret] = [given(visit, 'client'), given(visit, 'secret')]
  return {
    hidden: { client, secret },
    insist: words.endSecretForce,
    find: () => admin.clients.listSecrets(client),
    values: (secrets) => ({ secrets: secrets.map(({ secret_id }) => secret_id).join('\n') }),
    labels: [{ name: 'secrets', label: words.secrets, kind: 'lines' }],
    render({ value }, asked) {
      if (!value.some(({ secret_id }) => secret_id === secret))
        throw notFound(`the client ${client} has no good secret ${secret}`)
      return secretEndPage(asked, client, secret, page)
    },
    act: (choice) => admin.clients.endSecret(client, secret, choice),
    acted: ({ notes }) =>
      leave(`${CLIENTS_PATH}/show`, { client }, { place: 'clients', act: 'ended', subject: secret, notes }),
  }
}

export const clientSecretRoutes: readonly PlaceRoute[] = [
  ...formRoutes('/secrets/new', adding),
  ...confirmRoutes('/secrets/end', ending),
]
