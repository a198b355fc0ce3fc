/**
 * What would be refused whatever the server has, by the rules of the verbs themselves: all of it at once, in a dry run too, and before
 * anything is changed. Pure.
 */
import { EMPTY_PROFILE, InvalidAccount, prepareProfile } from '../../accounts/profile.ts'
import { isRoleName } from '../../accounts/roles.ts'
import { normalizeUsername } from '../../accounts/username.ts'
import { ALGORITHM_NAMES } from '../../algorithm-names.ts'
import { checkApi, checkApiScope } from '../../oauth/api-rules.ts'
import { newClient } from '../../oauth/client-registration/client-defaults.ts'
import { withProfile } from '../../oauth/client-registration/fapi2.ts'
import { checkRegistration } from '../../oauth/client-registration/registration.ts'
import { RegistrationError } from '../../oauth/client-registration/registration-error.ts'
import { applyChange, chosenMembers } from '../client-change.ts'
import type { ClientChangeView } from '../clients.schema.ts'
import type { Change } from './changes.ts'
import type { Entry } from './entries.ts'
import type { Kind } from './kinds.ts'

/** A resource that does not change is left alone, although a rule may have become stricter. */
export function brokenRules(changes: readonly Change[]): string[] {
  return changes.flatMap(({ kind, entry }) => {
    if (!entry) return []
    try {
      CHECKS[kind](entry)
      return []
    } catch (error) {
      if (error instanceof RegistrationError) return [`${entry.placeOf(error.field)}: ${error.message}`]
      if (error instanceof InvalidAccount) return [`${entry.placeOf(error.field)}: ${error.message}`]
      throw error
    }
  })
}

const CHECKS: Readonly<Record<Kind, (entry: Entry) => void>> = {
  api({ id, fields }) {
    const { scopes, name, scope_texts: scopeTexts, signing_alg: signingAlg } = fields as unknown as ApiFields
    checkApi({ identifier: id, scopes, name, scopeTexts, signingAlg })
  },
  role({ id, fields }) {
    const scopes = fields.scopes as readonly string[]
    if (!isRoleName(id))
      throw new RegistrationError('a role name must be 1 to 100 printable characters without spaces')
    if (scopes.length === 0) throw new RegistrationError('a role needs at least one scope')
    for (const scope of scopes) checkApiScope(scope)
  },
  client({ id, fields }) {
    const { disabled, ...change } = fields
    const blank = newClient({ id, name: String(fields.client_name), createdAt: 0 })
    const wanted = change as ClientChangeView
    // Whether the ring has a lane for the profile is known only to the server.
    checkRegistration(withProfile(applyChange(blank, wanted), chosenMembers(wanted), ALGORITHM_NAMES))
  },
  user({ id, fields }) {
    const { name = null, email = null } = fields as { name?: string | null; email?: string | null }
    if (normalizeUsername(id) === null)
      throw new InvalidAccount('username', 'username must be 1 to 200 printable characters')
    prepareProfile({ ...EMPTY_PROFILE, name, email })
  },
}

interface ApiFields {
  readonly scopes: readonly string[]
  readonly name: string | null
  readonly scope_texts: Readonly<Record<string, string>>
  readonly signing_alg: string | null
}
