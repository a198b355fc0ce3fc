/** `/signed-out`: says so, whoever comes. */
import { signedOutPage } from '../../views/pages/signed-out.ts'
import type { PageRoute } from '../browser.ts'

export function signedOutRoutes(): PageRoute[] {
  return [
    {
      method: 'GET',
      path: '/signed-out',
      handler: async (visit) => visit.html(signedOutPage({ back: null }, visit.page())),
    },
  ]
}
