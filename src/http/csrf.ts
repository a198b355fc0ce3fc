/**
 * Protection against cross-site request forgery: a form is accepted only from a page that this server rendered for the same
 * browser and the same user session. `page-scope.ts` checks every POST. Must not know any page.
 */
import type { Macs } from '../keys/macs.ts'
import { PageError } from './page-error.ts'

/** What a form's token is bound to: the browser and the user session, or only the browser. `none`: no token is needed. */
export type CsrfBinding = 'user-session' | 'browser' | 'none'

/** The browser and user session that a form was rendered for. */
export interface FormOwner {
  /** The value of the browser cookie. */
  readonly browser: string
  readonly userSessionId: string | undefined
}

export interface SubmittedForm {
  readonly token: string
  /** `Sec-Fetch-Site`; browsers from before 2023 do not send it. */
  readonly fetchSite: string | undefined
}

const macInput = ({ browser, userSessionId }: FormOwner): string =>
  JSON.stringify([browser, userSessionId ?? null])

export function csrfToken(macs: Pick<Macs, 'create'>, owner: FormOwner): string {
  return macs.create(macInput(owner))
}

/** @throws {PageError} if another site sent the form, or if it was rendered for another browser or session */
export function checkCsrf(
  macs: Pick<Macs, 'verify'>,
  owner: FormOwner,
  { token, fetchSite }: SubmittedForm,
): void {
  const matches = macs.verify(macInput(owner), token)
  if (!matches || (fetchSite !== undefined && fetchSite !== 'same-origin')) throw new PageError('forged')
}
