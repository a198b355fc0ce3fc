/** `/signed-out`: says so, whoever comes. */
import { signedOutPage } from '../../views/pages/signed-out.ts'
import type { PageRoute } from '../browser.ts'

export const SIGNED_OUT_PATH = '/signed-out'

export function signedOutRoutes(): PageRoute[] {
  return [
    {
      method: 'GET',
      path: SIGNED_OUT_PATH,
      handler: async (visit) => visit.html(signedOutPage({ back: null }, visit.page())),
    },
  ]
}
