/** Finds the key that an administrator means by a whole kid or by its beginning, as the timeline prints it. */
import { isPublished } from '../keys/ring.ts'
import type { Ring } from '../store/contracts/ring.ts'
import { conflict, notFound } from './errors.ts'

const MIN_LENGTH = 4

/**
 * @returns the whole kid; the given text if no published key begins with it
 * @throws {AdminError} if several do, or if the text is too short to name one key for certain
 */
export function wholeKid(ring: Ring, text: string): string {
  const beginning = text.replace(/…$/, '')
  if (beginning.length < MIN_LENGTH)
    throw notFound(`"${text}" is too short: give at least ${MIN_LENGTH} characters of the kid`)
  const kids = ring.keys.filter(isPublished).map(({ kid }) => kid)
  const [match, ...others] = kids.filter((kid) => kid.startsWith(beginning))
  if (others.length > 0) throw conflict(`${text} is the beginning of ${[match, ...others].join(' and ')}`)
  return match ?? text
}
