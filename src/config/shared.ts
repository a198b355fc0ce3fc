/**
 * The settings that all nodes of a store must have in common, because tokens, the schedule of the keys and what commands compute depend
 * on them. `shared` in the table of settings marks them. Must not know where they are recorded.
 */
import { type Field, fields, PREFIX } from './fields.ts'
import type { Config } from './load.ts'
import { durationText, isDurationText } from './parsers.ts'

/** By the name of the setting, in lower case and without prefix. */
export type SharedSettings = Readonly<Record<string, string | number | null>>

/** A setting whose values differ, as they would be written in the environment. */
export interface Difference {
  readonly variable: string
  readonly here: string
  readonly there: string
}

const rows = (Object.entries(fields) as [keyof typeof fields, Field<unknown>][])
  .filter(([, row]) => row.shared)
  .map(([key, row]) => ({ key, row, name: row.name.toLowerCase() }))

export const sharedSettings = (config: Config): SharedSettings =>
  Object.fromEntries(rows.map(({ key, name }) => [name, config[key] as string | number | null]))

/** The configuration with other values of shared settings. Names that this version does not know are ignored. */
export function withShared(config: Config, settings: SharedSettings): Config {
  const known = rows.filter(({ name }) => settings[name] !== undefined)
  return Object.freeze({
    ...config,
    ...Object.fromEntries(known.map(({ key, name }) => [key, settings[name]])),
  })
}

/** What differs, in the order of the table of settings. A name that one side does not have is no difference. */
export function differences(here: SharedSettings, there: SharedSettings): Difference[] {
  return rows.flatMap(({ row, name }) => {
    const [own, other] = [here[name], there[name]]
    if (own === undefined || other === undefined || own === other) return []
    return [{ variable: PREFIX + row.name, here: written(row, own), there: written(row, other) }]
  })
}

/** `KEYTURN_VERIFIER_CACHE is 1h there and 24h here`, for several settings. */
export const differencesText = (found: readonly Difference[]): string =>
  found.map(({ variable, here, there }) => `${variable} is ${there} there and ${here} here`).join('; ')

/** The settings that a command uses when nodes differ: for each number, the safer of the nodes' values. For a text, the value of the last node is used. */
export function combineShared(nodes: readonly SharedSettings[]): SharedSettings {
  const combined = rows.flatMap(({ row, name }) => {
    const values = nodes.map((settings) => settings[name]).filter((value) => value !== undefined)
    const numbers = values.filter((value) => typeof value === 'number')
    const last = values.at(-1)
    if (last === undefined) return []
    if (numbers.length === 0) return [[name, last]]
    return [[name, row.shared === 'smallest' ? Math.min(...numbers) : Math.max(...numbers)]]
  })
  return Object.fromEntries(combined)
}

function written(row: Field<unknown>, value: string | number | null): string {
  if (value === null) return 'off'
  // Every shared duration has a default with a unit, so the default shows whether a number is a duration.
  const isDuration = typeof value === 'number' && isDurationText(row.default ?? '')
  return isDuration ? durationText(value) : String(value)
}
