import t from 'tap'
import { printable, printableLines } from '../../src/printable.ts'

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => String.fromCodePoint(from + i))

/** What terminals interpret, hide or reorder. */
const UNSAFE = [
  ...range(0x00, 0x1f),
  ...range(0x7f, 0x9f),
  ...['\u00AD', '\u061C', '\u200B', '\u200E', '\u200F', '\u2028', '\u2029', '\u2060', '\uFEFF'],
  ...range(0x202a, 0x202e),
  ...range(0x2066, 0x2069),
  ...['\uD800', '\uDFFF', '\uE000', '\u{E0041}', '\u{10FFFF}'],
]

t.test(
  'every character that a terminal interprets, hides or reorders is shown by its number (docs/security.md R2)',
  async (t) => {
    for (const character of UNSAFE) {
      const shown = printable(`a${character}b`)
      t.match(shown, /^a(\\u[0-9a-f]{4}){1,2}b$/, `U+${character.codePointAt(0)?.toString(16)}`)
      t.equal(JSON.parse(`"${shown}"`), `a${character}b`, 'as in JSON')
      if (character !== '\n') t.equal(printableLines(`a${character}b`), shown)
    }
    t.equal(printable('\u001B]0;title\u0007\u009B2J'), '\\u001b]0;title\\u0007\\u009b2J')
    t.equal(printableLines('one\ntwo\r\n'), 'one\ntwo\\u000d\n')
  },
)

t.test('names in all scripts stay as they are', async (t) => {
  for (const name of [
    'Ångström',
    'Мария',
    '山田太郎',
    'محمد',
    'می‌خواهم',
    'क्‍ष',
    '👩‍🚀 ❤️ 🇩🇪',
    'e\u0301',
    'a\\b "c"',
  ])
    t.equal(printable(name), name)
})
