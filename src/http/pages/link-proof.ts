/** What a browser carries from the second factor of a one-time link to its next form: that the factor was proved, here and just now. */
import { PENDING_LOGIN_TTL } from '../../accounts/lifetimes.ts'
import type { Macs } from '../../keys/macs.ts'
import type { OneTimeLink } from '../../store/contracts/one-time-links.ts'
import type { EpochSeconds } from '../../system.ts'
import type { PageRequest } from '../page-request.ts'

type Here = Pick<PageRequest, 'browser' | 'now'>

const macInput = (browser: string, { hash }: Pick<OneTimeLink, 'hash'>, until: EpochSeconds): string =>
  JSON.stringify(['one-time-link', browser, hash, until])

export function createLinkProof(macs: Pick<Macs, 'create'>, here: Here, link: OneTimeLink): string {
  const until = here.now() + PENDING_LOGIN_TTL
  return `${until}.${macs.create(macInput(here.browser, link, until))}`
}

export function isLinkProof(
  macs: Pick<Macs, 'verify'>,
  here: Here,
  link: OneTimeLink,
  proof: string,
): boolean {
  const [, until = '', mac = ''] = /^(\d{1,12})\.(.{1,200})$/.exec(proof) ?? []
  return here.now() < Number(until) && macs.verify(macInput(here.browser, link, Number(until)), mac)
}
