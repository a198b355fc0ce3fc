import { pageUrl } from '../forms.ts'
import type { ConsoleContext } from './page.ts'

export const CLIENTS_PATH = '/admin/clients'

export const clientUrl = (page: ConsoleContext, client: string, act = 'show') =>
  pageUrl(page, `${CLIENTS_PATH}/${act}`, { client })
