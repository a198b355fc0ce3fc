/**
 * The languages of the pages. Only texts and which of them somebody reads; must not know what a page looks like. A
 * new language is a file beside `de.ts`, and a line in `TEXTS`.
 */
import { de } from './de.ts'
import { en, type Texts } from './en.ts'

export type { Texts } from './en.ts'

const TEXTS = { en, de } as const satisfies Readonly<Record<string, Texts>>

export type Locale = keyof typeof TEXTS

export const LOCALES = Object.keys(TEXTS) as readonly Locale[]
export const DEFAULT_LOCALE: Locale = 'en'

export const textsIn = (locale: Locale): Texts => TEXTS[locale]

/** What is longer is none that a browser sends. */
const LONGEST_HEADER = 1024

/** Lookup of RFC 4647 §3.4: `de-AT-1996`, then `de-AT`, then `de`. */
function lookup(range: string): Locale | undefined {
  const parts = range.trim().toLowerCase().replaceAll('_', '-').split('-')
  for (let length = parts.length; length > 0; length--) {
    const tag = parts.slice(0, length).join('-')
    const found = LOCALES.find((locale) => locale.toLowerCase() === tag)
    if (found) return found
  }
  return undefined
}

/** RFC 9110 §12.5.4: ranges with weights, the heaviest first; a weight of 0 is a language not wanted. */
function acceptedRanges(header: string): string[] {
  return header
    .slice(0, LONGEST_HEADER)
    .split(',')
    .map((item) => {
      const [range = '', ...parameters] = item.split(';')
      const weight = parameters
        .map((one) => /^\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*$/i.exec(one)?.[1])
        .find(Boolean)
      return { range: range.trim(), weight: weight === undefined ? 1 : Number(weight) }
    })
    .filter(({ range, weight }) => range !== '' && weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .map(({ range }) => range)
}

/**
 * What the application asks for (`ui_locales`, in its order of preference; OIDC Core §3.1.2.1), else what the browser
 * does, else English.
 */
export function chooseLocale(uiLocales: readonly string[], acceptLanguage: string | undefined): Locale {
  for (const range of [...uiLocales, ...acceptedRanges(acceptLanguage ?? '')]) {
    if (range === '*') return DEFAULT_LOCALE
    const found = lookup(range)
    if (found) return found
  }
  return DEFAULT_LOCALE
}
