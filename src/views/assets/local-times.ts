/** Writes times in the user's time zone, which only the browser knows. Without scripts they stay as they are, in UTC. */
export const LOCAL_TIMES_SCRIPT = `'use strict'
for (const time of document.querySelectorAll('time[data-locale]')) {
  const parts = { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' }
  time.title = time.textContent
  time.textContent = new Intl.DateTimeFormat(time.dataset.locale, parts).format(new Date(time.dateTime))
}
`
