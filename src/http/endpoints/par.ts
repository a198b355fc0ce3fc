import type { OAuth } from '../../oauth/index.ts'
import { json, type ProtocolHandler } from '../protocol.ts'

/** RFC 9126. */
export const parEndpoint =
  ({ pushRequest }: Pick<OAuth, 'pushRequest'>): ProtocolHandler =>
  async (request) =>
    json(await pushRequest(request))
