/**
 * The languages of the pages and the choice between them. Must not know what pages look like. A new language is a file
 * beside `de.ts` and an entry in `TEXTS`.
 */
import Negotiator from 'negotiator'
import { de } from './de.ts'
import { en, type Texts } from './en.ts'

export type { Texts } from './en.ts'

const TEXTS = { en, de } as const satisfies Readonly<Record<string, Texts>>

export type Locale = keyof typeof TEXTS

export const LOCALES = Object.keys(TEXTS) as readonly Locale[]
const DEFAULT_LOCALE: Locale = 'en'

export const textsIn = (locale: Locale): Texts => TEXTS[locale]

/** No browser sends a longer header. */
const MAX_HEADER_LENGTH = 1024

/** Lookup of RFC 4647 §3.4: `de-AT-1996`, then `de-AT`, then `de`. */
function lookup(range: string): Locale | null {
  const parts = range.trim().toLowerCase().replaceAll('_', '-').split('-')
  for (let length = parts.length; length > 0; length--) {
    const tag = parts.slice(0, length).join('-')
    const found = LOCALES.find((locale) => locale.toLowerCase() === tag)
    if (found) return found
  }
  return null
}

/** The language ranges of the header, by descending weight (RFC 9110 §12.5.4). */
function acceptedRanges(header: string): string[] {
  return new Negotiator({ headers: { 'accept-language': header.slice(0, MAX_HEADER_LENGTH) } }).languages()
}

/**
 * The first language that is available: of the application's `ui_locales` (OIDC Core §3.1.2.1), then of the browser's
 * preferences, then English.
 */
export function chooseLocale(uiLocales: readonly string[], acceptLanguage = ''): Locale {
  for (const range of [...uiLocales, ...acceptedRanges(acceptLanguage)]) {
    if (range === '*') return DEFAULT_LOCALE
    const found = lookup(range)
    if (found) return found
  }
  return DEFAULT_LOCALE
}
