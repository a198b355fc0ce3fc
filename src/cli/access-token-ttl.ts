import { Option } from 'commander'
import type { Seconds } from '../system.ts'
import { durationOption } from './context.ts'

/** As given; `default` is a word because commander would turn null into an empty string. */
export type AccessTokenTtl = Seconds | 'default'

/** Bounded like the setting; `default` removes a lifetime that was set before. */
export function accessTokenTtlOption(): Option {
  const parse = durationOption('1s', '24h')
  return new Option(
    '--access-token-ttl <duration>',
    'lifetime of access tokens, such as 5m; "default": that of the server',
  ).argParser((value): AccessTokenTtl => (value === 'default' ? value : parse(value)))
}

/** The value to store: null for the server's lifetime. */
export function ownTtl(given: AccessTokenTtl | undefined, before: Seconds | null): Seconds | null {
  if (given === undefined) return before
  return given === 'default' ? null : given
}
