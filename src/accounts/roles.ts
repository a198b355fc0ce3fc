/** A role's name is a claim in tokens and a word on the command line: no spaces, nothing invisible. */
const NAME = /^[^\p{C}\p{Z}]{1,100}$/u

export function isRoleName(name: string): boolean {
  return NAME.test(name)
}
