/**
 * HTML that cannot be forgotten to be escaped: what goes into a template is text unless it came out of one. Must not
 * have a way around that; only this folder may make templates.
 */

export class Html {
  // Private, so that nothing parsed from JSON can look like one.
  readonly #markup: string

  constructor(markup: string) {
    this.#markup = markup
  }

  toString(): string {
    return this.#markup
  }
}

export type Content = string | number | Html | false | null | undefined | readonly Content[]

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
}

/** Safe as text and between quotes of an attribute; nowhere else, and `html` lets it be nowhere else. */
const escaped = (text: string): string => text.replace(/[&<>"'`]/g, (char) => ENTITIES[char] ?? '')

function markup(value: Content): string {
  if (value instanceof Html) return value.toString()
  if (typeof value === 'string') return escaped(value)
  if (typeof value === 'number') return String(value)
  if (value === null || value === undefined || value === false) return ''
  if (Array.isArray(value)) return value.map(markup).join('')
  throw new TypeError('only text, numbers and HTML go into a page')
}

/** @throws TypeError where the value of an attribute has no quotes, which escaping does not protect */
export function html(strings: TemplateStringsArray, ...values: Content[]): Html {
  return new Html(
    strings.reduce((before, after, index) => {
      if (/=\s*$/.test(strings[index - 1] ?? '')) throw new TypeError('an attribute needs its quotes')
      return before + markup(values[index - 1]) + after
    }),
  )
}

/** A name somebody has chosen: letters that run from right to left must not turn the sentence around it. */
export const name = (text: string): Html => html`<bdi class="name">${text}</bdi>`

const SCRIPTS = /^(javascript|data|vbscript|blob|file|filesystem|view-source):/i

/** An address for `href` or `action`. What would run here instead of leading elsewhere, leads nowhere. */
export function address(url: string): string {
  // As browsers read it: they ignore control characters and white space in front, and tabs and line ends within.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  const read = url.replace(/^[\u0000-\u0020]+|[\t\r\n]/g, '')
  return SCRIPTS.test(read) ? 'about:invalid' : url
}
