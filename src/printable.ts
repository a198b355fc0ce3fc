/**
 * Text that others have written, made safe for a terminal. Users, clients and services choose names, user agents and parameters
 * that are stored and printed later. In a terminal, control characters among them can move the cursor, hide or forge lines, and
 * change what the terminal sends to the shell; invisible and bidirectional characters make one name look like another. Must not
 * know where the text comes from.
 */

/**
 * Control, format, unassigned and private-use characters, lone surrogates, and line and paragraph separators. Not the joiners of
 * Persian, Indic scripts and emoji (U+200C, U+200D).
 */
const UNPRINTABLE = /[^\P{C}\u200C\u200D]|[\p{Zl}\p{Zp}]/gu

/** Characters are escaped as in a JSON string, so that JSON that is escaped keeps its value. */
function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, i) => {
    return `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  }).join('')
}

/** One line. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escaped)

/** Text that may contain line feeds. */
export const printableLines = (text: string): string =>
  text.replace(UNPRINTABLE, (character) => (character === '\n' ? character : escaped(character)))
