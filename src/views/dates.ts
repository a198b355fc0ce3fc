/** Dates and times, in UTC, because the server does not know the user's time zone. A script of the page makes them local. */
import { type Html, html } from './html.ts'
import type { PageContext } from './page.ts'

const formats = new Map<string, Intl.DateTimeFormat>()

function format(locale: string): Intl.DateTimeFormat {
  const cached = formats.get(locale)
  if (cached) return cached
  const created = new Intl.DateTimeFormat(locale, {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    timeZone: 'UTC',
    timeZoneName: 'short',
  })
  formats.set(locale, created)
  return created
}

/** @param seconds since 1970 */
export function dateTime({ texts }: PageContext, seconds: number): Html {
  const date = new Date(seconds * 1000)
  return html`<time datetime="${date.toISOString()}" data-locale="${texts.dateLocale}">${format(texts.dateLocale).format(date)}</time>`
}
