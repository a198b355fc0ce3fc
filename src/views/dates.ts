/** Points in time. The server does not know where somebody is, so it says UTC. */
import { type Html, html } from './html.ts'
import type { PageContext } from './page.ts'

const formats = new Map<string, Intl.DateTimeFormat>()

function format(locale: string): Intl.DateTimeFormat {
  const known = formats.get(locale)
  if (known) return known
  const made = new Intl.DateTimeFormat(locale, {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    timeZone: 'UTC',
    timeZoneName: 'short',
  })
  formats.set(locale, made)
  return made
}

/** @param seconds since 1970 */
export function when({ texts }: PageContext, seconds: number): Html {
  const date = new Date(seconds * 1000)
  return html`<time datetime="${date.toISOString()}">${format(texts.dateLocale).format(date)}</time>`
}
