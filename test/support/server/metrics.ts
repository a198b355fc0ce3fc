/** Metrics as a scraper reads them. */
import type { Metrics } from '../../../src/metrics/metrics.ts'

interface Scraped {
  /** The value of a series, its labels in any order; undefined if there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined
  /** Name → type, as declared. */
  readonly types: ReadonlyMap<string, string>
  /** Label names by metric, without a histogram’s `le`; only for metrics with a series. */
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>
  readonly series: readonly string[]
  readonly text: string
}

export function parseMetrics(text: string): Scraped {
  const types = new Map<string, string>()
  const labels = new Map<string, Set<string>>()
  const values = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [, declared = '', type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (declared) types.set(declared, type)
    if (line === '' || line.startsWith('#')) continue
    const [, name = '', inner = '', value = ''] = /^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === '') throw new Error(`not a line of metrics: ${line}`)
    const pairs = [...inner.matchAll(/([a-z]+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', of = '']) => [
      label,
      of,
    ])
    values.set(key(name, pairs), Number(value))
    const metric = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '')
    const known = labels.get(metric) ?? new Set()
    for (const [label = ''] of pairs) if (label !== 'le') known.add(label)
    labels.set(metric, known)
  }
  return {
    value: (name, of = {}) => values.get(key(name, Object.entries(of))),
    types,
    labels,
    series: [...values.keys()],
    text,
  }
}

const key = (name: string, pairs: readonly (readonly string[])[]): string =>
  `${name}{${pairs
    .map(([label, of]) => `${label}=${of}`)
    .sort()
    .join(',')}}`

export const scrape = async ({ metrics }: { metrics: Metrics }): Promise<Scraped> =>
  parseMetrics(await metrics.text())
