/**
 * The list of pages and the parts that each uses. Must not know what a page does. A new page is a file beside this one and a line
 * below; 405 responses and the CSRF check follow from it. Its HTML is a file in `src/views/pages/`.
 */
import type { Accounts } from '../../accounts/index.ts'
import type { Config } from '../../config/load.ts'
import type { Macs } from '../../keys/macs.ts'
import type { OAuth } from '../../oauth/index.ts'
import type { Registry } from '../../oauth/registry.ts'
import type { PageRoute } from '../page-scope.ts'
import { accountRoutes } from './account.ts'
import { accountFactorRoutes } from './account-factors.ts'
import { authorizeRoutes } from './authorize.ts'
import { chooseAccountRoutes } from './choose-account.ts'
import { consentRoutes } from './consent.ts'
import { createEnrolment } from './enrolment.ts'
import { loginRoutes } from './login.ts'
import { logoutRoutes } from './logout.ts'
import { oneTimeLinkRoutes } from './one-time-link.ts'
import { passkeyRoutes } from './passkeys.ts'
import { passwordRoutes } from './password.ts'
import { secondFactorRoutes } from './second-factor.ts'
import { signedOutRoutes } from './signed-out.ts'
import { totpRoutes } from './totp.ts'

export interface PagesDeps {
  readonly accounts: Accounts
  readonly oauth: Pick<OAuth, 'authorize' | 'flows' | 'logout'>
  readonly registry: Registry
  readonly formMacs: Macs
  readonly base: { readonly config: Pick<Config, 'issuer'> }
}

export function pageRoutes({ accounts, oauth, registry, formMacs, base }: PagesDeps): PageRoute[] {
  const {
    users,
    login,
    secondFactors,
    userSessions,
    changePassword,
    passwordRules,
    accountSessions,
    linkUse,
  } = accounts
  const { authorize, flows, logout } = oauth
  const { issuer } = base.config
  const enrolment = createEnrolment({ authorize, secondFactors, userSessions })
  return [
    ...authorizeRoutes({ authorize, flows }),
    ...loginRoutes({ authorize, login, secondFactors, users, userSessions }),
    ...chooseAccountRoutes({ authorize }),
    ...secondFactorRoutes({ authorize, secondFactors, users, userSessions }),
    ...consentRoutes({ authorize, formMacs, registry, issuer }),
    ...accountRoutes({ accountSessions, userSessions, secondFactors, registry, issuer }),
    ...passwordRoutes({ changePassword, passwordRules }),
    ...oneTimeLinkRoutes({ linkUse, secondFactors, passwordRules, formMacs }),
    ...accountFactorRoutes({ enrolment, secondFactors, registry }),
    ...totpRoutes({ enrolment, secondFactors }),
    ...passkeyRoutes({ enrolment, secondFactors }),
    ...logoutRoutes({ logout, userSessions, flows }),
    ...signedOutRoutes(),
  ]
}
