/** The first page: the ring, when it rotates, who is behind, the nodes, and what needs attention. */
import { dateTime } from '../dates.ts'
import { buttonLink, pageUrl } from '../forms.ts'
import { type Content, type Html, html } from '../html.ts'
import { automaticRotation, gate, KEYS_PATH, nameList, type ShownVerifier, safetyBadge } from './keys.ts'
import { type ConsoleContext, consolePage } from './page.ts'
import { ringPicture, type ShownRing } from './ring-picture.ts'
import { panel, table } from './table.ts'

interface ShownNode {
  readonly name: string
  readonly version: string
  readonly gone: boolean
  /** It signs with an older version of the ring. */
  readonly behind: boolean
  readonly startedAt: number
  readonly seenAt: number
}

export interface ShownCount {
  readonly count: number
  /** There were more than were counted. */
  readonly more: boolean
}

export type LastHour = Readonly<
  Record<'tokensIssued' | 'tokensRefused' | 'loginsSucceeded' | 'loginsFailed', ShownCount>
>

type CheckName = keyof ConsoleContext['words']['overview']['checks']

export interface OverviewModel {
  readonly ring: ShownRing
  readonly verifiers: readonly ShownVerifier[]
  readonly nodes: readonly ShownNode[]
  readonly lastHour: LastHour
  /** What the checks of this node have found, in English. */
  readonly problems: readonly { readonly check: CheckName; readonly message: string }[]
  /** What the verbs have to say, in English. */
  readonly notes: readonly string[]
}

/** Nodes poll every minute at least, so a rotation that is due has happened by then. */
const OVERDUE = 300

export function overviewPage(model: OverviewModel, page: ConsoleContext): string {
  const { words } = page
  const { overview, places } = words
  return consolePage(page, {
    place: 'overview',
    title: places.overview,
    content: html`${warnings(model, page)}
${panel({
  id: 'ring',
  title: overview.ring,
  badge: safetyBadge(model.ring, page),
  content: html`<p>${gate(model.ring, page)} ${automaticRotation(model.ring, page)}</p>
${ringPicture(model.ring, page)}
<p>${verifierLine(model.verifiers, page)}</p>
<div class="buttons">${buttonLink(pageUrl(page, KEYS_PATH), overview.toKeys)}</div>`,
})}
${panel({ id: 'hour', title: overview.lastHour, content: numbers(model.lastHour, page) })}
${nodesPanel(model.nodes, page)}`,
  })
}

function verifierLine(verifiers: readonly ShownVerifier[], { words }: ConsoleContext): Content {
  const { overview } = words
  if (verifiers.length === 0) return overview.noVerifiers
  const behind = verifiers.filter((one) => one.behind)
  const names = [...new Set(behind.map(({ name }) => name))]
  return names.length === 0
    ? overview.verifiersOk(verifiers.length)
    : overview.verifiersBehind(nameList(names))
}

function numbers(hour: LastHour, { words, locale }: ConsoleContext): Html {
  const format = new Intl.NumberFormat(locale)
  const shown = ({ count, more }: ShownCount) =>
    more ? words.overview.atLeast(format.format(count)) : format.format(count)
  return html`<dl class="numbers">
${(Object.keys(hour) as (keyof LastHour)[]).map((name) => html`<div><dt>${words.overview[name]}</dt><dd>${shown(hour[name])}</dd></div>\n`)}</dl>`
}

function warnings({ ring, nodes, problems, notes }: OverviewModel, page: ConsoleContext): Html {
  const { warning, checks, noWarnings, warnings: title } = page.words.overview
  const label = (node: ShownNode) => html`<bdi class="name">${node.name}</bdi>`
  const overdue = ring.nextRotationAt !== null && ring.now - ring.nextRotationAt > OVERDUE
  const all: Content[] = [
    ...nodes.filter(({ gone }) => gone).map((node) => warning.nodeGone(label(node))),
    ...nodes.filter(({ gone, behind }) => behind && !gone).map((node) => warning.nodeBehind(label(node))),
    ...(ring.behind.length > 0 ? [warning.expectedBehind(nameList(ring.behind))] : []),
    ...(overdue ? [warning.overdue] : []),
    // The sentence above says what is overdue in the language of the page.
    ...problems
      .filter(({ check }) => !(overdue && check === 'schedule'))
      .map(
        ({ check, message }) => html`<strong>${checks[check]}:</strong> <span lang="en">${message}</span>`,
      ),
    ...notes.map((note) => html`<span lang="en">${note}</span>`),
  ]
  if (all.length === 0) return html`<p class="calm muted">${noWarnings}</p>`
  return html`<section class="message bad" aria-labelledby="warnings"><h2 id="warnings">${title}</h2>
<ul class="follows">${all.map((one) => html`<li>${one}</li>`)}</ul></section>`
}

function nodesPanel(nodes: readonly ShownNode[], page: ConsoleContext): Html {
  const { overview } = page.words
  const state = ({ gone, behind }: ShownNode) =>
    gone
      ? html`<span class="state bad">${overview.gone}</span>`
      : html`<span class="state good">${overview.serving}</span>${behind && html` <span class="state bad">${overview.nodeBehind}</span>`}`
  return html`<section class="card" aria-labelledby="nodes"><div class="block"><h2 id="nodes">${overview.nodes}</h2></div>
${
  nodes.length === 0
    ? html`<p class="empty">${overview.noNodes}</p>`
    : table({
        caption: overview.nodes,
        columns: [
          { label: overview.node },
          { label: overview.state },
          { label: overview.version, secondary: true },
          { label: overview.started, secondary: true },
          { label: overview.lastSeen, secondary: true },
        ],
        rows: nodes.map((node) => [
          html`<bdi>${node.name}</bdi>`,
          state(node),
          node.version,
          dateTime(page, node.startedAt),
          dateTime(page, node.seenAt),
        ]),
      })
}
</section>`
}
