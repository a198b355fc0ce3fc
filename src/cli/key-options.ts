import { InvalidArgumentError, Option } from 'commander'
import { RSA_BITS } from '../keys/algorithms.ts'
import type { KeyChoice } from '../keys/rotate.ts'

export interface KeyOptions {
  readonly bits?: number
}

export function bitsOption(description: string): Option {
  return new Option('--bits <size>', `${description}: ${RSA_BITS.join(', ')}`).argParser((value) => {
    const bits = Number(value)
    if (!RSA_BITS.includes(bits)) throw new InvalidArgumentError(`must be one of ${RSA_BITS.join(', ')}`)
    return bits
  })
}

export function keyChoice({ bits }: KeyOptions): KeyChoice {
  return bits === undefined ? {} : { bits }
}
