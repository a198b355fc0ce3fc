import { Option } from 'commander'

export interface ScopeChoice {
  readonly allowUnowned?: boolean
}

export const allowUnownedOption = (): Option =>
  new Option('--allow-unowned', 'also accept scopes that no API has')
