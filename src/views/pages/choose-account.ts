import { button, buttonLink, cancelForm, form, pageUrl } from '../forms.ts'
import { html, name } from '../html.ts'
import { frame, type PageContext } from '../page.ts'

/** Posts `flow`, `csrf` to `/login/account`, or leads to `/login?flow=…&account=other`. */
export interface ChooseAccountModel {
  readonly clientName: string
  /** The user who is signed in. */
  readonly username: string
  /** The user whom the client expects; null: the page does not name one. */
  readonly hint: string | null
  readonly flow: string
  /** The flow in which the user has chosen to stay signed in. */
  readonly flowOfCurrent: string
}

export function chooseAccountPage(model: ChooseAccountModel, page: PageContext): string {
  const { texts } = page
  const { flow, flowOfCurrent } = model
  const user = name(model.username)
  const client = name(model.clientName)
  const hint = model.hint === null ? null : name(model.hint)
  return frame(page, {
    title: texts.chooseAccount.title,
    content: html`<div class="card stack">
<h1>${texts.chooseAccount.title}</h1>
<p>${hint === null ? texts.chooseAccount.expectsAnother(client, user) : texts.chooseAccount.expects(client, hint, user)}</p>
${form(page, {
  path: '/login/account',
  fields: { flow: flowOfCurrent },
  className: 'stack',
  content: button({ label: texts.chooseAccount.continueAs(user) }),
})}
${buttonLink(
  pageUrl(page, '/login', { flow, account: 'other' }),
  hint === null ? texts.common.useAnotherAccount : texts.chooseAccount.signInAs(hint),
)}
${cancelForm(page, flow, model.clientName)}
</div>`,
  })
}
