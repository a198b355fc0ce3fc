/** Refuses misspelled options: one that is ignored could switch off a check without anyone noticing. */

/** @throws {TypeError} */
export function refuseUnknown(what: string, given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name))
  if (unknown !== undefined) {
    throw new TypeError(`${what} has no option ${unknown}; it has ${known.join(', ')}`)
  }
}
