import t from 'tap'
import { parse } from 'yaml'
import { AUDIT_EVENTS } from '../../src/audit/events.ts'
import { fields } from '../../src/config/fields.ts'
import { protocolEndpoints } from '../../src/http/routes.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { read, tableBelow } from '../support/docs/documents.ts'
import { parseMetrics } from '../support/server/metrics.ts'
import { clientCredentials } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'

const page = read('docs/metrics.md')
const names = (cell = '') => [...cell.matchAll(/`([a-z_0-9]+)`/g)].map(([, name = '']) => name)

const metrics = createMetrics({ processMetrics: true })
const server = await testServer({ metrics })
t.teardown(() => server.close())
await seed(server.store)
await clientCredentials(server, { scope: 'nothing:here' })
const scraped = parseMetrics(await metrics.text())

/** Metrics that exist on PostgreSQL only. */
const POOL = new Map([
  ['keyturn_store_connections', new Set(['state'])],
  ['keyturn_store_connections_max', new Set<string>()],
  ['keyturn_store_connections_waiting', new Set<string>()],
  ['keyturn_store_listening', new Set<string>()],
])
const types = new Map([...scraped.types, ...[...POOL.keys()].map((name) => [name, 'gauge'] as const)])
const labels = new Map<string, ReadonlySet<string>>([...scraped.labels, ...POOL])

t.test('docs/metrics.md lists every metric with its type and labels, and no others', async (t) => {
  const rows = tableBelow(page, '## Keyturn')
  const shown = rows.map(([name, type, of]) => [...names(name), type, names(of).sort()])
  const keyturnMetrics = [...types].filter(([name]) => name.startsWith('keyturn_'))
  const expected = keyturnMetrics.map(([name, type]) => [name, type, [...(labels.get(name) ?? [])].sort()])
  t.same(shown.sort(), expected.sort())
  t.ok(rows.every(([, , , what = '']) => what.length > 0))
})

t.test('docs/metrics.md lists the process metrics', async (t) => {
  const shown = tableBelow(page, '## The process').flatMap(([cell]) => names(cell))
  const processMetrics = [...types.keys()].filter((name) => !name.startsWith('keyturn_'))
  // Other platforms have fewer process metrics.
  if (process.platform === 'linux') t.same(shown.sort(), processMetrics.sort())
  else t.ok(processMetrics.every((name) => shown.includes(name)))
})

/** Labels that Prometheus adds to every scrape. */
const TARGET = ['job', 'instance']
const EXPRESSION_WORDS =
  /^(sum|max|min|by|rate|increase|histogram_quantile|le|endpoint|method|status|grant|error|event|verb|kind|state|instance|up)$/

/** A PromQL expression may use only existing metrics, their labels, and listed values of labels. */
function complaints(expr: string): string[] {
  const found: string[] = []
  const bare = expr.replace(/"[^"]*"/g, '').replace(/\[[^\]]*\]/g, '')
  for (const [word] of bare.matchAll(/[a-z_][a-z_0-9]*/g)) {
    const name = metricOf(word)
    if (name === undefined && !EXPRESSION_WORDS.test(word) && !TARGET.includes(word)) found.push(word)
  }
  for (const [, word = '', inner = ''] of expr.matchAll(/([a-z_0-9]+)\{([^}]*)\}/g)) {
    const known = [...(labels.get(metricOf(word) ?? '') ?? []), ...TARGET]
    for (const [, label = '', values = ''] of inner.matchAll(/([a-z_]+)=~?"([^"]*)"/g)) {
      if (!known.includes(label)) found.push(`${word} has no label ${label}`)
      for (const value of values.split('|')) {
        if (!(LISTED[label]?.includes(value) ?? true)) found.push(`${label} is never ${value}`)
      }
    }
  }
  return found
}

const LISTED: Readonly<Record<string, readonly string[]>> = {
  event: AUDIT_EVENTS,
  endpoint: protocolEndpoints.map(({ path }) => path),
  state: ['behind', 'current', 'idle', 'busy'],
  kind: ['unavailable', 'damaged', 'constraint', 'other'],
  status: ['2xx', '3xx', '4xx', '5xx'],
  method: ['GET', 'POST'],
  job: ['keyturn'],
}

function metricOf(word: string): string | undefined {
  if (types.has(word)) return word
  const stem = word.replace(/_(bucket|sum|count)$/, '')
  return types.get(stem) === 'histogram' ? stem : undefined
}

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string }
}

t.test('the alert rules use only existing metrics and say what to do', async (t) => {
  const { groups } = parse(read('examples/monitoring/alerts.yaml')) as { groups: { rules: Rule[] }[] }
  const rules = groups.flatMap((group) => group.rules)
  t.ok(rules.length > 10)
  t.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length)
  for (const { alert, expr, for: lasting, labels: of, annotations } of rules) {
    t.same(complaints(expr), [], alert)
    t.match(lasting ?? '1m', /^\d+[smh]$/)
    t.match(of.severity, /^(page|ticket)$/)
    t.ok(annotations.summary.length > 10 && annotations.description.length > 10, alert)
  }
})

interface Panel {
  readonly title: string
  readonly type: string
  readonly gridPos: { readonly x: number; readonly w: number }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

t.test('the dashboard uses only existing metrics, and every one of Keyturn’s', async (t) => {
  const text = read('examples/monitoring/dashboard.json')
  const { panels } = JSON.parse(text) as { panels: Panel[] }
  t.ok(panels.length > 15)
  for (const { title, type, gridPos, targets = [] } of panels) {
    t.equal(targets.length > 0, type !== 'row', title)
    t.ok(gridPos.x + gridPos.w <= 24, title)
    for (const { expr, legendFormat } of targets) {
      t.same(complaints(expr), [], title)
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
        t.ok(expr.includes(label) || TARGET.includes(label), `${title}: ${label}`)
      }
    }
  }
  const seen = read('examples/monitoring/alerts.yaml') + text
  const left = [...types.keys()].filter((name) => name.startsWith('keyturn_') && !seen.includes(name))
  t.same(left, ['keyturn_info', 'keyturn_status_lists'], 'metrics that need no alert or panel')
})

t.test('the check of metric expressions detects mistakes', async (t) => {
  t.same(complaints('sum(keyturn_nothing) > 0'), ['keyturn_nothing'])
  t.same(complaints('keyturn_ready_count'), ['keyturn_ready_count'])
  t.same(complaints('keyturn_ready{state="x"}'), ['keyturn_ready has no label state', 'state is never x'])
  t.same(complaints('keyturn_audit_events_total{event=~"login.failed|nope"}'), ['event is never nope'])
})

t.test('the Prometheus configuration loads the rules and scrapes the documented port', async (t) => {
  const file = parse(read('examples/monitoring/prometheus.yaml'))
  t.same(file.rule_files, ['alerts.yaml'])
  const [job] = file.scrape_configs
  t.equal(job.job_name, 'keyturn')
  const port = /KEYTURN_METRICS_PORT=(\d+)/.exec(read('examples/monitoring/README.md'))?.[1]
  for (const target of job.static_configs[0].targets) t.match(target, new RegExp(`^[a-z-]+:${port}$`))
  t.equal(fields.metricsPort.default, undefined)
})
