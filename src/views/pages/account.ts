import {
  appsSection,
  type ConnectedApp,
  consentsSection,
  type SavedConsent,
  type SignedInBrowser,
  userSessionsSection,
} from '../account/access.ts'
import { type AccountProfile, profileSection } from '../account/profile.ts'
import { type SecondFactors, secondFactorsSection } from '../account/second-factors.ts'
import { alert, button, form, notice } from '../forms.ts'
import { html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import type { Texts } from '../texts/index.ts'

export type AccountNotice = keyof Texts['account']['notices']

/** Every form posts `csrf` and the fields that its section names. */
export interface AccountModel {
  readonly profile: AccountProfile
  /** Newest first; exactly one of them is `current`. */
  readonly userSessions: readonly SignedInBrowser[]
  readonly apps: readonly ConnectedApp[]
  readonly consents: readonly SavedConsent[]
  readonly secondFactors: SecondFactors
  /** The result of the action that led here. */
  readonly notice: AccountNotice | null
}

const REFUSAL_NOTICES: readonly AccountNotice[] = ['second-factor-required', 'passkeys-unavailable']

/** Checks a notice from the URL (`/account?notice=…`). */
export const isAccountNotice = (
  value: string,
  { texts }: Pick<PageContext, 'texts'>,
): value is AccountNotice => Object.hasOwn(texts.account.notices, value)

export function accountPage(model: AccountModel, page: PageContext): string {
  const { texts } = page
  const current = model.userSessions.find((session) => session.current)
  const isRefusal = model.notice !== null && REFUSAL_NOTICES.includes(model.notice)
  const text = model.notice === null ? null : texts.account.notices[model.notice]
  return frame(page, {
    title: texts.account.title,
    failed: isRefusal,
    wide: true,
    scripts: [page.assets.localTimes],
    aside:
      current &&
      form(page, {
        path: '/account/sign-ins/end',
        fields: { id: current.id },
        className: 'aside',
        content: button({ label: texts.account.signOut, kind: 'secondary' }),
      }),
    content: html`<div class="sections">
<h1 class="title">${texts.account.title}</h1>
${isRefusal ? alert(text, true) : notice(text, true)}
${profileSection(page, model.profile)}
${secondFactorsSection(page, model.secondFactors)}
${userSessionsSection(page, model.userSessions)}
${appsSection(page, model.apps)}
${consentsSection(page, model.consents)}
</div>`,
  })
}
