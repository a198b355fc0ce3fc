/**
 * Names that people read: of users, clients, passkeys and the brand. Characters that no one sees could make one name look like
 * another, or reorder the text around it. Must not know whose name it is.
 */

/** Spaces of all widths, such as those of Japanese keyboards (U+3000) and of word processors (U+00A0). */
const SPACES = /\p{Zs}+/gu

/**
 * Controls, lone surrogates, unassigned and private-use characters, line separators, and characters that are invisible by definition,
 * such as bidirectional overrides, zero-width spaces and Hangul fillers. Variation selectors only choose a form of a character.
 */
const HIDDEN = /\p{C}|\p{Zl}|\p{Zp}|[\p{Default_Ignorable_Code_Point}--\p{Variation_Selector}]/v

/** A name needs at least one such character: it is not a space, not a mark on another character, and not invisible. */
const BASE = /[^\p{Z}\p{M}\p{Default_Ignorable_Code_Point}]/u

/**
 * RFC 5892 A.1 and A.2: both joiners may follow a virama, the sign of Indic scripts that removes the vowel of a consonant. JavaScript
 * knows no combining classes, so these are the characters of class 9 of the scripts that are written today.
 */
const VIRAMA =
  '\\u094D\\u09CD\\u0A4D\\u0ACD\\u0B4D\\u0BCD\\u0C4D\\u0CCD\\u0D3B\\u0D3C\\u0D4D\\u0DCA\\u0E3A\\u0EBA\\u0F84\\u1039\\u103A\\u1714\\u1734\\u17D2\\u1A60\\u1B44\\u1BAA\\u1BAB\\u1BF2\\u1BF3\\uA806\\uA8C4\\uA953\\uA9C0\\uAAF6\\uABED\\u{11046}\\u{11133}\\u{11134}'

/**
 * RFC 5892 A.1: a non-joiner may separate letters that would join, as in Persian. JavaScript knows no joining types either, so this
 * accepts every letter of a script that joins. A non-joiner after a letter that never joins the next one is accepted too.
 */
const JOINING =
  '[[\\p{Script=Arabic}\\p{Script=Syriac}\\p{Script=Mandaic}\\p{Script=Nko}\\p{Script=Mongolian}\\p{Script=Phags_Pa}\\p{Script=Adlam}\\p{Script=Hanifi_Rohingya}]&&\\p{L}]'

/** UTS #51: emoji that a joiner combines, such as families and professions, and flags of regions that tags spell. */
const EMOJI = '\\p{Extended_Pictographic}[\\uFE0F\\p{Emoji_Modifier}]?'

const PERMITTED = new RegExp(
  [
    `(?<=[${VIRAMA}])[\\u200C\\u200D]`,
    `(?<=${JOINING}\\p{M}*)\\u200C(?=\\p{M}*${JOINING})`,
    `(?<=${EMOJI})\\u200D(?=\\p{Extended_Pictographic})`,
    '(?<=\\u{1F3F4})[\\u{E0030}-\\u{E0039}\\u{E0061}-\\u{E007A}]{1,8}\\u{E007F}',
  ].join('|'),
  'gv',
)

/** Whether people can see every character of the text. */
export const isVisible = (text: string): boolean => !HIDDEN.test(text.replace(PERMITTED, ''))

/**
 * The form in which a name is stored and compared: NFC, with single spaces between words. null if it is empty, is longer than
 * `maxLength` code points, or has characters that people cannot see.
 */
export function prepareName(name: string, maxLength: number): string | null {
  // Length first: the time to normalize combining marks grows with the square of their number.
  if (name.length > 4 * maxLength) return null
  const prepared = name.normalize('NFC').replace(SPACES, ' ').replace(/^ | $/g, '')
  const isName = BASE.test(prepared) && isVisible(prepared) && [...prepared].length <= maxLength
  return isName ? prepared : null
}
