/**
 * Removes secrets from logged objects. The last line of defence: no code logs secrets on purpose. Must not know pino, or where
 * lines are written. A new kind of secret is a name in `SECRETS`.
 */

const SECRETS: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'dpop',
  'set-cookie',
  'password',
  'client_secret',
  'client_assertion',
  'refresh_token',
  'access_token',
  'id_token',
  'token',
  'code',
  'code_verifier',
])

/** Deeper than any logged object. Needed because an object may contain itself. */
const MAX_DEPTH = 6

/**
 * Returns the value itself if it contains no secrets, as it nearly always does not; otherwise a copy without them. Searches plain
 * objects and arrays. For other objects, a serializer determines what is logged.
 */
export function withoutSecrets(value: object, depth = 0): object {
  if (depth > MAX_DEPTH) return {}
  if (Array.isArray(value)) return withoutSecretsInList(value, depth)
  const fields = value as Record<string, unknown>
  let copy: Record<string, unknown> | undefined
  for (const name of Object.keys(fields)) {
    const field = fields[name]
    if (SECRETS.has(name.toLowerCase())) {
      copy ??= { ...fields }
      delete copy[name]
    } else if (canContainSecrets(field)) {
      const clean = withoutSecrets(field, depth + 1)
      if (clean === field) continue
      copy ??= { ...fields }
      copy[name] = clean
    }
  }
  return copy ?? fields
}

function withoutSecretsInList(list: readonly unknown[], depth: number): readonly unknown[] {
  const clean = list.map((item) => (canContainSecrets(item) ? withoutSecrets(item, depth + 1) : item))
  return clean.some((item, i) => item !== list[i]) ? clean : list
}

function canContainSecrets(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || Array.isArray(value)
}
