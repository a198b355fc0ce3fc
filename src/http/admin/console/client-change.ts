/** The fields of the form of a client → the request. Must not know the pages. */
import type { ClientChangeView } from '../../../admin/clients.schema.ts'
import { invalidValue } from '../../../admin/errors.ts'
import { GRANT_NAMES } from '../../../oauth/grants/index.ts'
import { GRANT_PREFIX, LISTS, TEXTS } from '../../../views/admin/client-fields.ts'
import { ALGORITHMS, FLAGS } from '../../../views/admin/clients.ts'
import type { Values } from '../../../views/admin/form.ts'
import { linesOf, numberOf, textOf } from './editing.ts'

type Change = { -readonly [Name in keyof ClientChangeView]: ClientChangeView[Name] }

const CHOICES = ['token_endpoint_auth_method', ...ALGORITHMS] as const

/** @param changed the fields that the administrator has touched: only these are sent */
export function clientChange(values: Values, changed: ReadonlySet<string>): ClientChangeView {
  const change: Change = {}
  for (const name of [...TEXTS, ...CHOICES]) if (changed.has(name)) change[name] = textOf(values[name])
  for (const name of LISTS) if (changed.has(name)) change[name] = linesOf(values[name])
  for (const name of FLAGS) if (changed.has(name)) change[name] = values[name] === 'yes'
  if (changed.has('client_name')) change.client_name = values.client_name ?? ''
  if (changed.has('scope')) change.scope = linesOf(values.scope).join(' ')
  if (changed.has('pkce')) change.pkce = values.pkce === 'optional' ? 'optional' : 'required'
  if (changed.has('profile')) change.profile = values.profile === 'fapi2' ? 'fapi2' : null
  if (changed.has('jwks')) change.jwks = jwksOf(values.jwks)
  if (changed.has('access_token_ttl'))
    change.access_token_ttl = numberOf('access_token_ttl', values.access_token_ttl)
  if (GRANT_NAMES.some((grant) => changed.has(GRANT_PREFIX + grant)))
    change.grant_types = GRANT_NAMES.filter((grant) => values[GRANT_PREFIX + grant] === 'yes')
  return change
}

function jwksOf(text: string | undefined): Exclude<Change['jwks'], undefined> {
  if (!text) return null
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalidValue('jwks', 'jwks must be JSON', error)
  }
  const keys = (value as { keys?: unknown } | null)?.keys
  if (!Array.isArray(keys)) throw invalidValue('jwks', 'jwks must be a JWK Set: an object with keys')
  return { keys }
}
