/** `If-Match` (RFC 9110 §13.1.1). Must not know any resource. */
import { AdminError } from '../../admin/errors.ts'

/** No resource has this revision, so a tag that this server did not issue never matches. */
const NO_REVISION = -1

/** Each tag may cost an attempt. Who has more has not read the resource. */
const MAX_TAGS = 32

/** One member of a list (RFC 9110 §5.6.1): an entity tag (§8.8.3), or nothing. */
const MEMBER = /[ \t]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)")?[ \t]*(?:,|$)/y

/**
 * The revisions that the header field requires, one of which must be that of the resource; undefined if it requires none. `*` requires
 * only that the resource exists, which every change does. Weak tags never match (§8.8.3.2).
 */
export function revisionsOf(header: string | undefined): readonly number[] | undefined {
  if (header === undefined || header.trim() === '*') return undefined
  const revisions = new Set<number>()
  const text = header.trim()
  MEMBER.lastIndex = 0
  while (MEMBER.lastIndex < text.length) {
    const match = MEMBER.exec(text)
    if (!match) return [NO_REVISION]
    const [, weak, tag] = match
    if (tag !== undefined && weak === undefined && /^\d{1,15}$/.test(tag)) revisions.add(Number(tag))
  }
  return revisions.size === 0 || revisions.size > MAX_TAGS ? [NO_REVISION] : [...revisions]
}

/**
 * Acts on the first of these revisions that the resource has. A verb compares one revision with that of the row that it changes, so
 * each attempt is atomic, and one that fails has changed nothing.
 */
export async function matchingAny<T>(
  revisions: readonly number[] | undefined,
  act: (ifMatch: number | undefined) => Promise<T>,
): Promise<T> {
  const [first, ...others] = revisions ?? []
  try {
    return await act(first)
  } catch (error) {
    const isOther = error instanceof AdminError && error.problem === 'precondition-failed'
    if (!isOther || others.length === 0) throw error
    return matchingAny(others, act)
  }
}
