import { isDotSegment } from '../path-segment.ts'

/** A role name is part of a token claim and an argument of commands, so it has no spaces or invisible characters. */
const NAME = /^[^\p{C}\p{Z}]{1,100}$/u

export function isRoleName(name: string): boolean {
  return NAME.test(name) && !isDotSegment(name)
}
