/** `/login/account`: `login_hint` names somebody other than the signed-in user, who says which account to use. */
import type { Authorize } from '../../oauth/authorize/authorize.ts'
import { chooseAccountPage } from '../../views/pages/choose-account.ts'
import { PageError } from '../page-error.ts'
import type { PageRoute } from '../page-scope.ts'
import { requesterOf, requireFlow, showOutcome } from './outcome.ts'

export interface ChooseAccountPageDeps {
  readonly authorize: Pick<Authorize, 'resume'>
}

export function chooseAccountRoutes({ authorize }: ChooseAccountPageDeps): PageRoute[] {
  return [
    {
      method: 'GET',
      path: '/login/account',
      async handler(request) {
        const outcome = await authorize.resume(requireFlow(request), requesterOf(request))
        if (outcome.step !== 'choose-account') return showOutcome(request, outcome)
        const { flow, summary } = outcome
        const { current } = request
        if (!current) throw new PageError('expired')
        const { client, request: authorizationRequest } = summary
        const text = chooseAccountPage(
          {
            clientName: client.name,
            username: current.user.username,
            hint: shownHint(authorizationRequest.loginHint),
            flow: request.encryptFlow(flow),
            // The flow names the user session that the page shows. In any other one, the user is asked again.
            flowOfCurrent: request.encryptFlow({ ...flow, chosenUserSession: current.userSession.id }),
          },
          request.loginPageContext(authorizationRequest.uiLocales),
        )
        return request.html(text, { formTarget: authorizationRequest.redirectUri })
      },
    },
    {
      method: 'POST',
      path: '/login/account',
      csrf: 'browser',
      async handler(request) {
        return showOutcome(request, await authorize.resume(requireFlow(request), requesterOf(request)))
      },
    },
  ]
}

/** Anyone may have written the hint, so only what can be a username or an address is shown: a sentence could mislead the user. */
function shownHint(hint: string | undefined): string | null {
  return hint !== undefined && /^[^\s\p{C}]{1,100}$/u.test(hint) ? hint : null
}
