/**
 * The key ring on a timeline: a bar for each key, thin while it is only published, thick while it signs, of middle height while it
 * retires, so that the picture needs no colours. The same is said in words for screen readers. Positions are attributes of SVG,
 * because the Content Security Policy forbids inline styles.
 */
import { dateTime } from '../dates.ts'
import { type Content, type Html, html } from '../html.ts'
import type { ConsoleContext } from './page.ts'
import type { ConsoleTexts } from './texts/index.ts'

export interface ShownKey {
  readonly kid: string
  readonly alg: string
  readonly state: keyof ConsoleTexts['keys']['states']
  readonly publishedAt: number
  readonly signsFrom: number | null
  readonly stoppedAt: number | null
  /** When it leaves or has left the JWKS; null if that is not known yet. */
  readonly leavesAt: number | null
}

export interface ShownRing {
  /** The latest first. */
  readonly keys: readonly ShownKey[]
  readonly now: number
  readonly active: string
  readonly next: string
  readonly safe: boolean
  readonly safeFrom: number
  /** Expected verifiers that have not fetched the next key. */
  readonly behind: readonly string[]
  readonly nextRotationAt: number | null
  readonly verifierCache: number
}

export const shortKid = (kid: string): string => `${kid.slice(0, 10)}…`

/** Older keys are left out. */
const MAX_KEYS = 8

const HEIGHTS = { published: 6, signs: 18, retiring: 10 } as const
const ROW_HEIGHT = 28

export function ringPicture(ring: ShownRing, page: ConsoleContext): Html {
  const { keys: words } = page.words
  const shown = [...ring.keys]
    .reverse()
    .sort((a, b) => a.publishedAt - b.publishedAt)
    .slice(-MAX_KEYS)
  const latest = Math.max(ring.now, ring.nextRotationAt ?? 0, ...shown.map((key) => key.leavesAt ?? 0))
  const from = Math.min(ring.now - 60, ...shown.map((key) => key.publishedAt))
  // Some room at the right: what is active has no end yet.
  const until = Math.max(latest, ring.now + ring.verifierCache) + (latest - from) * 0.06
  const x = (at: number): number =>
    Math.round(Math.min(100, Math.max(0, ((at - from) / (until - from)) * 100)) * 100) / 100
  const part = (kind: keyof typeof HEIGHTS, start: number, end: number): Content => {
    const height = HEIGHTS[kind]
    const width = Math.max(0.4, x(end) - x(start))
    return (
      end > start &&
      html`<rect class="${kind}" x="${x(start)}%" y="${(ROW_HEIGHT - height) / 2}" width="${Math.round(width * 100) / 100}%" height="${height}" rx="2"/>`
    )
  }
  const bar = (key: ShownKey): Html => {
    const end = key.leavesAt ?? until
    const signs = key.signsFrom ?? Number.POSITIVE_INFINITY
    const stops = Math.min(key.stoppedAt ?? Number.POSITIVE_INFINITY, end)
    return html`<svg class="bar" width="100%" height="${ROW_HEIGHT}" aria-hidden="true" focusable="false">
${lines(ring, x)}
${part('published', key.publishedAt, Math.min(signs, end))}${signs < end && part('signs', signs, stops)}${stops < end && part('retiring', stops, end)}
</svg>`
  }
  const now = x(ring.now)
  const anchor = now < 5 ? 'start' : now > 95 ? 'end' : 'middle'
  return html`<figure class="ring" aria-label="${words.picture}">
<ol>
${shown.map(
  (
    key,
  ) => html`<li><span class="label"><code>${shortKid(key.kid)}</code> ${stateBadge(key.state, page)}</span>
<span class="visually-hidden">${sentence(key, ring, page)}</span>${bar(key)}</li>
`,
)}</ol>
<div class="axis"><svg width="100%" height="20" aria-hidden="true" focusable="false"><text x="${now}%" y="14" text-anchor="${anchor}">${words.legend.now}</text></svg>
<p class="ends"><span>${dateTime(page, from)}</span><span>${dateTime(page, Math.round(until))}</span></p></div>
<figcaption>${(['published', 'signs', 'retiring'] as const).map(
    (kind) =>
      html`<span class="key"><svg width="28" height="18" aria-hidden="true" focusable="false"><rect class="${kind}" x="0" y="${(18 - HEIGHTS[kind]) / 2}" width="28" height="${HEIGHTS[kind]}" rx="2"/></svg> ${words.legend[kind]}</span>\n`,
  )}${ring.nextRotationAt !== null && html`<span class="key"><svg width="12" height="18" aria-hidden="true" focusable="false"><line class="rotation" x1="6" x2="6" y1="0" y2="18"/></svg> ${words.legend.rotation}</span>`}</figcaption>
</figure>`
}

const lines = ({ now, nextRotationAt }: ShownRing, x: (at: number) => number): Content => [
  nextRotationAt !== null &&
    html`<line class="rotation" x1="${x(nextRotationAt)}%" x2="${x(nextRotationAt)}%" y1="0" y2="${ROW_HEIGHT}"/>`,
  html`<line class="now" x1="${x(now)}%" x2="${x(now)}%" y1="0" y2="${ROW_HEIGHT}"/>`,
]

const STATE_KINDS: Readonly<Record<ShownKey['state'], string>> = {
  active: 'good',
  next: '',
  retiring: '',
  retired: '',
  revoked: 'bad',
}

export const stateBadge = (state: ShownKey['state'], { words }: ConsoleContext): Html =>
  html`<span class="state ${STATE_KINDS[state]}">${words.keys.states[state]}</span>`

function sentence(key: ShownKey, { now }: ShownRing, page: ConsoleContext): Content {
  const { sentence: words } = page.words.keys
  const parts = [
    words.published(dateTime(page, key.publishedAt)),
    key.signsFrom !== null && words.signs(dateTime(page, key.signsFrom)),
    key.stoppedAt !== null && words.stopped(dateTime(page, key.stoppedAt)),
    key.leavesAt !== null && (key.leavesAt > now ? words.leaves : words.left)(dateTime(page, key.leavesAt)),
  ].filter((part) => part !== false)
  return parts.map((part, index) => [index > 0 && ', ', part])
}
