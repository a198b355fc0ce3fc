/**
 * What must never be in a log, wherever a careless object carries it. The last line of defence: nobody hands
 * secrets to the logger on purpose. Must not know pino, or where lines go.
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

/** Deeper than anything that is logged here; and an object that contains itself must end somewhere. */
const DEEPEST = 6

/**
 * The same without members of these names: the very object if it has none, which is nearly always, and
 * otherwise a copy. Looks into plain objects and lists; others have a serializer that says what is shown.
 */
export function withoutSecrets(value: object, depth = 0): object {
  if (depth > DEEPEST) return {}
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
