import fc from 'fast-check'

const codePoint = fc.nat({ max: 0x10_ffff }).map((code) => String.fromCodePoint(code))

/** Any code points. Quicker than the unit `binary`, which begins with a table of all of them. */
export const anyText = (maxLength: number) => fc.string({ unit: codePoint, maxLength })
