/** The verbs of all kinds in one form, so that a plan needs no case for each. Must not know the document. */
import type { Admin } from '../admin.ts'
import { allOf } from '../page.ts'
import type { Changed, Found, Page, PageQuery } from '../verbs.ts'
import { type Fields, KIND_RULES, type Kind } from './kinds.ts'

export interface VerbOptions {
  readonly allowUnowned: boolean
  readonly ifMatch: number | undefined
  /** Of a client that gets one which the server does not generate. */
  readonly secret: string | undefined
}

export interface KindVerbs {
  all(): Promise<readonly Fields[]>
  /** @throws {AdminError} not-found */
  find(id: string): Promise<Found<Fields>>
  create(id: string, body: Fields, options: VerbOptions): Promise<Changed<Fields>>
  update(id: string, body: Fields, options: VerbOptions): Promise<Changed<Fields>>
  delete(id: string, options: VerbOptions): Promise<Changed<unknown>>
}

/**
 * What the aggregates have in common. The bodies have been checked with the schema of the document, whose members are those of the
 * verbs; a test compares.
 */
interface Aggregate {
  list(query: PageQuery): Promise<Page<Fields>>
  find(id: string): Promise<Found<Fields>>
  create(body: never, options?: Partial<VerbOptions>): Promise<Changed<Fields>>
  update(id: string, body: never, options?: Partial<VerbOptions>): Promise<Changed<Fields>>
}

interface Deletable extends Aggregate {
  delete(id: string, options?: Partial<VerbOptions>): Promise<Changed<unknown>>
}

export function verbsOf({ apis, roles, clients, users }: Admin): Readonly<Record<Kind, KindVerbs>> {
  return {
    api: { ...kindVerbs('api', apis), delete: deleteWith(apis) },
    role: { ...kindVerbs('role', roles), delete: deleteWith(roles) },
    client: withState({ ...kindVerbs('client', clients), delete: deleteWith(clients) }, clients),
    user: { ...kindVerbs('user', users), delete: refuseToDelete },
  }
}

function kindVerbs(kind: Kind, aggregate: Aggregate): Omit<KindVerbs, 'delete'> {
  const { id: member } = KIND_RULES[kind]
  const bodyOf = (body: Fields, { secret }: VerbOptions) =>
    ({ ...body, ...(secret === undefined ? {} : { client_secret: secret }) }) as never
  return {
    all: () => allOf(aggregate.list),
    find: aggregate.find,
    create: (id, body, options) => {
      const { allowUnowned } = options
      return aggregate.create(bodyOf({ [member]: id, ...body }, options), { allowUnowned })
    },
    update: (id, body, options) => {
      const { allowUnowned, ifMatch } = options
      return aggregate.update(id, bodyOf(body, options), { allowUnowned, ifMatch })
    },
  }
}

const deleteWith =
  (aggregate: Deletable): KindVerbs['delete'] =>
  (id, { ifMatch }) =>
    aggregate.delete(id, { ifMatch })

/** Users are people, and a plan deletes none. */
const refuseToDelete = (): never => {
  throw new Error('a plan has no deletion of a user')
}

/** Clients are disabled and enabled by verbs of their own, because sessions end with it. */
function withState(verbs: KindVerbs, { disable, enable }: Admin['clients']): KindVerbs {
  const setDisabled = async (
    id: string,
    disabled: boolean,
    before: Changed<Fields> | null,
    ifMatch?: number,
  ) => {
    const condition = { ifMatch: before?.revision ?? ifMatch }
    const { value, revision, notes } = await (disabled ? disable(id, condition) : enable(id, condition))
    return { value: { ...before?.value, ...value }, revision, notes: [...(before?.notes ?? []), ...notes] }
  }
  return {
    ...verbs,
    async create(id, { disabled, ...body }, options) {
      const created = await verbs.create(id, body, options)
      return disabled === true ? setDisabled(id, true, created) : created
    },
    async update(id, { disabled, ...body }, options) {
      const updated = Object.keys(body).length > 0 ? await verbs.update(id, body, options) : null
      if (disabled === undefined) return updated as Changed<Fields>
      return setDisabled(id, disabled === true, updated, options.ifMatch)
    },
  }
}
