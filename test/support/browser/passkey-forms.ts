import { encodeForm } from '../server/requests.ts'
import type { Authenticator } from './authenticator.ts'
import { type Browser, type Page, tags } from './browser.ts'

/** The form that a script would complete, completed by a software authenticator. */
export async function byPasskey(
  browser: Browser,
  page: Page,
  path: string,
  authenticator: Authenticator,
  more: Record<string, string> = {},
) {
  const form = tags(page.body).find(
    ({ name, attributes }) =>
      name === 'form' && attributes.has('data-passkey') && attributes.get('action') === path,
  )
  if (!form) throw new Error(`no form ${path} for a passkey: ${page.status} ${page.path}`)
  const options = JSON.parse(form.attributes.get('data-options') ?? '')
  const creates = form.attributes.get('data-passkey') === 'create'
  const credential = creates ? authenticator.create(options) : authenticator.get(options)
  const fields = page.forms.find(({ action, fields }) => action === path && fields.has('credential'))?.fields
  const body = encodeForm({ ...Object.fromEntries(fields ?? []), credential, ...more })
  const answer = await browser.request(path, { method: 'POST', body, from: 'same-origin' })
  return answer.location && !answer.away ? browser.open(answer.location, { from: 'same-origin' }) : answer
}
