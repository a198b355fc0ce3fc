/**
 * Removes secrets from what is logged, wherever an object contains them. The last line of defence: no code logs secrets on
 * purpose. Must not know pino, or where lines go. A new kind of secret is a name in the list below.
 */

const SECRETS: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
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

/** Deeper than anything that is logged. A limit, because an object may contain itself. */
const MAX_DEPTH = 6

/**
 * Returns the value without the members that have these names: the value itself if it has none, which is nearly always the case,
 * and otherwise a copy. Looks into plain objects and arrays. Other objects have a serializer that says what is logged.
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
    } else if (canHide(field)) {
      const clean = withoutSecrets(field, depth + 1)
      if (clean === field) continue
      copy ??= { ...fields }
      copy[name] = clean
    }
  }
  return copy ?? fields
}

function withoutSecretsInList(list: readonly unknown[], depth: number): readonly unknown[] {
  const clean = list.map((item) => (canHide(item) ? withoutSecrets(item, depth + 1) : item))
  return clean.some((item, i) => item !== list[i]) ? clean : list
}

function canHide(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || Array.isArray(value)
}
