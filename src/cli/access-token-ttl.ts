import { Option } from 'commander'
import type { Seconds } from '../system.ts'
import { durationOption } from './context.ts'

/** Within what a setting may say; `default` takes an own lifetime back. */
export function accessTokenTtlOption(): Option {
  const parse = durationOption('1s', '24h')
  return new Option(
    '--access-token-ttl <duration>',
    'lifetime of access tokens, such as 5m; "default": that of the server',
  ).argParser((value): Seconds | null => (value === 'default' ? null : parse(value)))
}
