/** The languages of the console: those of the other pages. Loaded with the console, not with the server. */
import type { Locale } from '../../texts/index.ts'
import { de } from './de.ts'
import { type ConsoleTexts, en } from './en.ts'

export type { ConsoleTexts } from './en.ts'

const TEXTS = { en, de } as const satisfies Readonly<Record<Locale, ConsoleTexts>>

export const consoleTextsIn = (locale: Locale): ConsoleTexts => TEXTS[locale]
