/** The pages that somebody sees who may not administer, or cannot yet. */
import { alert, buttonLink, pageUrl } from '../forms.ts'
import { html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import { type ConsoleContext, consolePage, type Place } from './page.ts'
import type { ConsoleTexts } from './texts/index.ts'

export type OutsideContext = PageContext & { readonly words: ConsoleTexts }

export const notAdministratorPage = (
  { role, username }: { readonly role: string; readonly username: string },
  page: OutsideContext,
): string =>
  frame(page, {
    title: page.words.refused.title,
    failed: true,
    content: html`<div class="card stack">
<h1>${page.words.refused.title}</h1>
<p>${page.words.refused.text(html`<code>${role}</code>`)}</p>
<p class="muted">${page.texts.common.signedInAs(html`<bdi class="name">${username}</bdi>`)}</p>
${buttonLink(pageUrl(page, '/account'), page.words.account)}
</div>`,
  })

export const factorNeededPage = (page: OutsideContext): string =>
  frame(page, {
    title: page.words.refused.factorTitle,
    content: html`<div class="card stack">
<h1>${page.words.refused.factorTitle}</h1>
<p>${page.words.refused.factorText}</p>
${buttonLink(pageUrl(page, '/account/totp'), page.words.refused.setUpApp, 'primary')}
${buttonLink(pageUrl(page, '/account/passkeys'), page.words.refused.setUpPasskey)}
</div>`,
  })

/** An act that was refused as a whole, or a resource that does not exist. */
export const failedPage = (
  model: {
    readonly place: Place
    readonly missing: boolean
    readonly message: string
    readonly back: string
  },
  page: ConsoleContext,
): string => {
  const { refused, places } = page.words
  return consolePage(page, {
    place: model.place,
    title: model.missing ? refused.missing : refused.failed,
    failed: true,
    back: { href: model.back, label: places[model.place] },
    content: html`${alert(html`<span lang="en">${model.message}</span>`, true)}
${model.missing && html`<p class="muted">${refused.missingText}</p>`}`,
  })
}
