import { Option } from 'commander'
import type { Seconds } from '../system.ts'
import { durationOption } from './context.ts'

/** The parsed option. `default` is a string because commander would turn null into an empty string. */
export type AccessTokenTtl = Seconds | 'default'

/** The option has the bounds of KEYTURN_ACCESS_TOKEN_TTL; `default` removes a lifetime that was set before. */
export function accessTokenTtlOption(): Option {
  const parse = durationOption('1s', '24h')
  return new Option(
    '--access-token-ttl <duration>',
    'lifetime of access tokens, such as 5m, or "default" for that of the server',
  ).argParser((value): AccessTokenTtl => (value === 'default' ? value : parse(value)))
}

/** The value of the request: null stands for the server's lifetime, undefined for no change. */
export const ttlOf = (option: AccessTokenTtl | undefined): Seconds | null | undefined =>
  option === 'default' ? null : option
