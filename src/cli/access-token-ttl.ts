import { Option } from 'commander'
import type { Seconds } from '../system.ts'
import { durationOption } from './context.ts'

/** As given; a word and not null, which commander would turn into an empty string. */
export type AccessTokenTtl = Seconds | 'default'

/** Within what a setting may say; `default` takes an own lifetime back. */
export function accessTokenTtlOption(): Option {
  const parse = durationOption('1s', '24h')
  return new Option(
    '--access-token-ttl <duration>',
    'lifetime of access tokens, such as 5m; "default": that of the server',
  ).argParser((value): AccessTokenTtl => (value === 'default' ? value : parse(value)))
}

/** What is stored: null for the server's lifetime. */
export function ownTtl(given: AccessTokenTtl | undefined, before: Seconds | null): Seconds | null {
  if (given === undefined) return before
  return given === 'default' ? null : given
}
