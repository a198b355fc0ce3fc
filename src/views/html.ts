/**
 * HTML templates that escape every value which is not itself the result of a template. Must not offer a way around that.
 * Only this folder may use templates.
 */

export class Html {
  // Private, so that no object parsed from JSON can pass for HTML.
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

/** Makes text safe between tags and in quoted attributes, the only places where `html` allows a value. */
const escapeText = (text: string): string => text.replace(/[&<>"'`]/g, (char) => ENTITIES[char] ?? '')

function markup(value: Content): string {
  if (value instanceof Html) return value.toString()
  if (typeof value === 'string') return escapeText(value)
  if (typeof value === 'number') return String(value)
  if (value === null || value === undefined || value === false) return ''
  if (Array.isArray(value)) return value.map(markup).join('')
  throw new TypeError('a page may contain only text, numbers and HTML')
}

/** @throws TypeError if a value follows an attribute without quotes, where escaping does not protect */
export function html(strings: TemplateStringsArray, ...values: Content[]): Html {
  return new Html(
    strings.reduce((before, after, index) => {
      if (/=\s*$/.test(strings[index - 1] ?? '')) throw new TypeError('an attribute value must be quoted')
      return before + markup(values[index - 1]) + after
    }),
  )
}

/** A name from outside, isolated so that right-to-left letters in it cannot reorder the sentence around it. */
export const name = (text: string): Html => html`<bdi class="name">${text}</bdi>`

const SCRIPT_SCHEMES = /^(javascript|data|vbscript|blob|file|filesystem|view-source):/i

/** An address for `href` or `action`. An address that would run a script is replaced by `about:invalid`. */
export function address(url: string): string {
  // Browsers ignore leading control characters and spaces, and tabs and line breaks anywhere.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the characters that browsers ignore
  const normalized = url.replace(/^[\u0000-\u0020]+|[\t\r\n]/g, '')
  return SCRIPT_SCHEMES.test(normalized) ? 'about:invalid' : url
}
