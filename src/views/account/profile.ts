import { buttonLink, pageUrl } from '../forms.ts'
import { type Html, html } from '../html.ts'
import type { PageContext } from '../page.ts'
import { section } from './section.ts'

export interface AccountProfile {
  readonly username: string
  readonly name: string | null
  readonly email: string | null
  readonly emailVerified: boolean
  /** False if the user signs in only with passkeys. */
  readonly hasPassword: boolean
}

/** Links to `/account/password` if the user has a password. */
export function profileSection(page: PageContext, profile: AccountProfile): Html {
  const { account } = page.texts
  return section({
    id: 'profile',
    title: account.profile,
    content: html`<dl class="facts">
<dt>${account.username}</dt><dd><bdi>${profile.username}</bdi></dd>
${profile.name !== null && html`<dt>${account.name}</dt><dd><bdi>${profile.name}</bdi></dd>`}
${
  profile.email !== null &&
  html`<dt>${account.email}</dt><dd><bdi>${profile.email}</bdi>${!profile.emailVerified && html` <span class="muted">(${account.unverified})</span>`}</dd>`
}
</dl>
${profile.hasPassword && html`<div class="foot">${buttonLink(pageUrl(page, '/account/password'), account.changePassword)}</div>`}`,
  })
}
