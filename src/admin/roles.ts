/** Roles: named sets of scopes that users may have. */
import { isRoleName } from '../accounts/roles.ts'
import { checkApiScope } from '../oauth/api-rules.ts'
import { RegistrationError } from '../oauth/client-registration/registration-error.ts'
import type { Role } from '../store/contracts/roles.ts'
import type { New } from '../store/contracts/update.ts'
import { type Actor, assertMayGrant } from './actor.ts'
import { ADMIN_ROLE } from './built-ins.ts'
import type { LocalDeps } from './deps.ts'
import { AdminError, conflict, invalidValue, notFound } from './errors.ts'
import { cursorOf, keyOf, storedPage } from './page.ts'
import { assertRevision } from './revision.ts'
import type { NewRoleView, RoleChangeView, RoleView } from './roles.schema.ts'
import { assertOwned, unownedNotes } from './scope-owners.ts'
import type { Changed, Condition, Found, Page, PageQuery, ScopeChoice } from './verbs.ts'

export interface RolesAdmin {
  /** Without the built-in role. In the order of names. */
  list(query: PageQuery): Promise<Page<RoleView>>
  /** @throws {AdminError} not-found */
  find(name: string): Promise<Found<RoleView>>
  /** @throws {AdminError} */
  create(role: NewRoleView, choice?: ScopeChoice): Promise<Changed<RoleView>>
  /** Takes effect with the next token of each user. @throws {AdminError} */
  update(name: string, change: RoleChangeView, choice?: ScopeChoice & Condition): Promise<Changed<RoleView>>
  /** Its users lose the scopes that it grants. @throws {AdminError} */
  delete(name: string, condition?: Condition): Promise<Changed<{ readonly deleted: string }>>
}

export function createRolesAdmin(deps: LocalDeps, actor: Actor): RolesAdmin {
  const { store, clock, audit } = deps
  const record = (name: string, action: string) =>
    audit('role.changed', { actor: actor.name, target: name, action })

  /** Who is affected by a change of the role. */
  async function userNotes(role: string, what: string): Promise<string[]> {
    const { count, usernames } = await store.users.withRole(role, MAX_NAMES)
    if (count === 0) return []
    const others = count > usernames.length ? ` and ${count - usernames.length} more` : ''
    return [`${what}: ${usernames.join(', ')}${others}`]
  }

  async function changeNotes(before: Role, after: Role): Promise<string[]> {
    const added = after.scopes.filter((scope) => !before.scopes.includes(scope))
    const removed = before.scopes.filter((scope) => !after.scopes.includes(scope))
    const losing = `users who no longer have ${removed.join(', ')} from this role`
    const stricter = after.requireSecondFactor && !before.requireSecondFactor
    return [
      ...(await unownedNotes(deps, added)),
      ...(removed.length > 0 ? await userNotes(after.name, losing) : []),
      ...(stricter ? await userNotes(after.name, 'users who must now sign in with a second factor') : []),
    ]
  }

  return {
    async list(query) {
      const page = await storedPage(
        {
          read: store.roles.page,
          cursor: ({ name }: Role) => cursorOf(name),
          placeOf: (cursor) => ({ name: keyOf(cursor) }),
          texts: ({ name, scopes }) => [name, ...scopes],
          isListed: ({ name }) => name !== ADMIN_ROLE,
        },
        query,
      )
      return { ...page, items: page.items.map(viewOf) }
    },

    async find(name) {
      const role = await store.roles.find(name)
      if (!role) throw unknown(name)
      return { value: viewOf(role), revision: role.revision }
    },

    async create({ name, scopes: given, require_second_factor: requireSecondFactor = false }, choice = {}) {
      if (!isRoleName(name)) {
        const message = 'a role name must be 1 to 100 printable characters without spaces'
        throw invalidValue('name', message)
      }
      const scopes = checkedScopes(given)
      assertMayGrant(actor, scopes, `the role ${name}`)
      await assertOwned(deps, scopes, choice)
      const role = { name, scopes, requireSecondFactor, createdAt: clock.now() }
      if (!(await store.roles.insert(role))) throw conflict(`the role ${name} already exists`)
      record(name, 'created')
      const stored = await store.roles.find(name)
      return {
        value: viewOf(role),
        revision: stored?.revision ?? null,
        notes: await unownedNotes(deps, scopes),
      }
    },

    async update(name, change, { ifMatch, ...choice } = {}) {
      assertNotBuiltIn(name)
      const outcome = await store.roles.update(name, async (current) => {
        assertRevision(current.revision, ifMatch, `the role ${name}`)
        const scopes = change.scopes ? checkedScopes(change.scopes) : current.scopes
        const { require_second_factor: requireSecondFactor = current.requireSecondFactor } = change
        assertMayGrant(actor, [...scopes, ...current.scopes], `the role ${name}`)
        const added = scopes.filter((scope) => !current.scopes.includes(scope))
        await assertOwned(deps, added, choice)
        return { ...current, scopes, requireSecondFactor }
      })
      if (!outcome.updated) throw unknown(name)
      const { before, after } = outcome
      if (before !== after) record(name, 'updated')
      return { value: viewOf(after), revision: after.revision, notes: await changeNotes(before, after) }
    },

    async delete(name, { ifMatch } = {}) {
      assertNotBuiltIn(name)
      const notes = await userNotes(name, 'users who no longer have the role')
      const role = await store.roles.find(name)
      if (role) assertMayGrant(actor, role.scopes, `the role ${name}`)
      if (!(await store.roles.delete(name, ifMatch))) {
        const left = await store.roles.find(name)
        if (left) assertRevision(left.revision, ifMatch, `the role ${name}`)
        throw unknown(name)
      }
      record(name, 'deleted')
      return { value: { deleted: name }, revision: null, notes }
    },
  }
}

/** A note names only this many users. */
const MAX_NAMES = 5

const unknown = (name: string): AdminError => notFound(`there is no role ${name}`)

function assertNotBuiltIn(name: string): void {
  if (name === ADMIN_ROLE)
    throw new AdminError('built-in', `the role ${name} is built in and cannot be changed`)
}

/** @returns the scopes without duplicates */
function checkedScopes(scopes: readonly string[]): string[] {
  if (scopes.length === 0) throw invalidValue('scopes', 'a role needs at least one scope')
  try {
    for (const scope of scopes) checkApiScope(scope)
  } catch (error) {
    if (error instanceof RegistrationError) throw invalidValue('scopes', error.message, error)
    throw error
  }
  return [...new Set(scopes)]
}

const viewOf = ({ name, scopes, requireSecondFactor, createdAt }: New<Role>): RoleView => ({
  name,
  scopes: [...scopes],
  require_second_factor: requireSecondFactor,
  created_at: createdAt,
})
