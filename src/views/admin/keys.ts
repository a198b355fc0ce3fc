/** Pages of the keys and the verifiers. */
import { dateTime } from '../dates.ts'
import { button, buttonLink, form, pageUrl } from '../forms.ts'
import { type Content, type Html, html } from '../html.ts'
import { type Asked, confirmPage } from './confirm.ts'
import type { FormField, Values } from './form.ts'
import { type ConsoleContext, consolePage } from './page.ts'
import { ringPicture, type ShownKey, type ShownRing, shortKid, stateBadge } from './ring-picture.ts'
import { panel, table } from './table.ts'

export const KEYS_PATH = '/admin/keys'

export interface ShownVerifier {
  readonly name: string
  readonly instance: string | null
  readonly expected: boolean
  readonly seenAt: number | null
  readonly behind: boolean
}

/** Verifiers that would refuse good tokens, or still accept a revoked key. */
export interface ShownAffected {
  /** null for verifiers that have not identified themselves. */
  readonly verifier: string | null
  readonly from: number
  readonly until: number
}

export interface KeysModel {
  readonly ring: ShownRing
  readonly verifiers: readonly ShownVerifier[]
  /** What was typed as the name of a verifier, and why it was refused. */
  readonly refused: { readonly name: string; readonly message: string } | null
}

export function gate(ring: ShownRing, page: ConsoleContext): Content {
  const { keys: words, span } = page.words
  if (ring.safe) return words.safe
  if (ring.safeFrom > ring.now)
    return words.unsafeBefore(dateTime(page, ring.safeFrom), span(ring.safeFrom - ring.now))
  return words.unsafeBehind(nameList(ring.behind))
}

export const nameList = (names: readonly string[]): Content =>
  names.map((one, index) => [index > 0 && ', ', html`<bdi class="name">${one}</bdi>`])

export function automaticRotation(ring: ShownRing, page: ConsoleContext): Content {
  const { keys: words, span } = page.words
  const at = ring.nextRotationAt
  if (at === null) return words.automaticOff
  return at <= ring.now ? words.automaticNow : words.automatic(dateTime(page, at), span(at - ring.now))
}

export const safetyBadge = ({ safe }: ShownRing, { words }: ConsoleContext): Html =>
  html`<span class="state ${safe ? 'good' : ''}">${safe ? words.keys.isSafe : words.keys.isUnsafe}</span>`

const isPublished = ({ state }: ShownKey): boolean => state !== 'retired' && state !== 'revoked'

export function keysPage({ ring, verifiers, refused }: KeysModel, page: ConsoleContext): string {
  const { keys: words, places } = page.words
  const time = (at: number | null) => (at === null ? html`<span class="muted">–</span>` : dateTime(page, at))
  return consolePage(page, {
    place: 'keys',
    title: places.keys,
    failed: refused !== null,
    actions: buttonLink(
      pageUrl(page, `${KEYS_PATH}/rotate`),
      words.rotate,
      ring.safe ? 'primary' : 'secondary',
    ),
    intro: words.intro,
    content: html`${panel({
      id: 'rotation',
      title: words.nextRotation,
      badge: safetyBadge(ring, page),
      content: html`<p>${gate(ring, page)}</p><p>${automaticRotation(ring, page)}</p>${ringPicture(ring, page)}`,
    })}
<div class="card flush">${table({
      caption: places.keys,
      columns: [
        { label: words.kid },
        { label: words.algorithm, secondary: true },
        { label: '' },
        { label: words.published, secondary: true },
        { label: words.signsFrom, secondary: true },
        { label: words.leaves, secondary: true },
        { label: '' },
      ],
      rows: ring.keys.map((key) => [
        html`<code class="kid"><bdi>${key.kid}</bdi></code>`,
        key.alg,
        stateBadge(key.state, page),
        time(key.publishedAt),
        time(key.signsFrom),
        time(key.leavesAt),
        isPublished(key) &&
          html`<a class="act" href="${pageUrl(page, `${KEYS_PATH}/revoke`, { kid: key.kid })}">${words.revoke}<span class="visually-hidden"> ${shortKid(key.kid)}</span></a>`,
      ]),
    })}</div>
${verifiersPanel(verifiers, refused, page)}`,
  })
}

function verifiersPanel(
  verifiers: readonly ShownVerifier[],
  refused: KeysModel['refused'],
  page: ConsoleContext,
): Html {
  const { keys, overview } = page.words
  const words = keys.verifiers
  const path = `${KEYS_PATH}/verifiers`
  return html`<section class="card" aria-labelledby="verifiers">
<div class="block"><h2 id="verifiers">${words.title}</h2>
<p class="muted">${words.intro}</p>
${form(page, {
  path: `${path}/expect`,
  className: 'toolbar',
  content: html`<label class="visually-hidden" for="verifier">${words.expectName}</label>
<input id="verifier" name="verifier" type="text" maxlength="64" required value="${refused?.name ?? ''}" placeholder="${words.expectName}" autocomplete="off" autocapitalize="none" spellcheck="false"${refused && html` aria-invalid="true" aria-describedby="verifier-error" autofocus`}>
${button({ label: words.expect, kind: 'secondary' })}`,
})}
${refused && html`<p class="error" id="verifier-error" role="alert" lang="en">${refused.message}</p>`}</div>
${
  verifiers.length === 0
    ? html`<p class="empty">${overview.noVerifiers}</p>`
    : table({
        caption: words.title,
        columns: [
          { label: words.name },
          { label: words.instance, secondary: true },
          { label: words.state },
          { label: words.expected, secondary: true },
          { label: words.seen, secondary: true },
          { label: '' },
        ],
        rows: verifiers.map(({ name, instance, expected, seenAt, behind }) => [
          html`<bdi>${name}</bdi>`,
          instance === null ? html`<span class="muted">–</span>` : html`<code><bdi>${instance}</bdi></code>`,
          seenAt === null
            ? html`<span class="muted">–</span>`
            : behind
              ? html`<span class="state bad">${words.behind}</span>`
              : html`<span class="state good">${words.has}</span>`,
          expected ? words.waits : html`<span class="muted">–</span>`,
          seenAt === null ? page.words.common.never : dateTime(page, seenAt),
          html`<a class="act" href="${pageUrl(page, `${path}/forget`, { verifier: name })}">${words.forget}<span class="visually-hidden"> ${name}</span></a>`,
        ]),
      })
}
</section>`
}

/** What tells that the ring has changed since a page was opened. */
export const ringValues = ({ active, next, keys }: ShownRing): Values => ({
  active,
  next,
  retiring: keys
    .filter(({ state }) => state === 'retiring')
    .map(({ kid }) => kid)
    .join('\n'),
})

export const ringLabels = ({ words }: Pick<ConsoleContext, 'words'>): FormField[] =>
  (['active', 'next', 'retiring'] as const).map((name) => ({
    name,
    label: words.keys.changes[name],
    kind: 'lines',
  }))

const code = (kid: string): Html => html`<code><bdi>${kid}</bdi></code>`

const who = ({ verifier }: ShownAffected, { words }: ConsoleContext): Html =>
  verifier === null ? html`${words.keys.unknownVerifiers}` : html`<bdi class="name">${verifier}</bdi>`

const affectedList = (title: string, items: readonly Content[]): Content =>
  items.length > 0 &&
  html`<h3>${title}</h3><ul class="follows">${items.map((item) => html`<li>${item}</li>`)}</ul>`

/** The active and the next key of each algorithm; the ring rotates in all of them. */
const lanesOf = ({ keys }: ShownRing): { readonly active: string; readonly next: string }[] =>
  keys.flatMap((active) => {
    const next = keys.find(({ alg, state }) => alg === active.alg && state === 'next')
    return active.state === 'active' && next ? [{ active: active.kid, next: next.kid }] : []
  })

/** @param failing who would refuse good tokens if the ring rotated now */
export function rotatePage(
  asked: Asked,
  { ring, failing }: { readonly ring: ShownRing; readonly failing: readonly ShownAffected[] },
  page: ConsoleContext,
): string {
  const { keys: words, places } = page.words
  return confirmPage(
    {
      ...asked,
      place: 'keys',
      title: words.rotateTitle,
      subject: page.words.overview.ring,
      back: { href: pageUrl(page, KEYS_PATH), label: places.keys },
      path: `${KEYS_PATH}/rotate`,
      follows: [
        ...lanesOf(ring).flatMap(({ active, next }) => [
          words.rotateFollows(code(next)),
          words.rotateActive(code(active)),
        ]),
        words.rotateNew,
      ],
      details: html`<h3>${words.gate} ${safetyBadge(ring, page)}</h3><p>${gate(ring, page)}</p>
${
  !ring.safe &&
  affectedList(
    words.failures,
    failing.map((one) => words.affected(who(one, page), dateTime(page, one.from), dateTime(page, one.until))),
  )
}`,
      submit: words.rotate,
      danger: !ring.safe,
      insist: ring.safe ? null : words.rotateAnyway,
    },
    page,
  )
}

export interface RevokeModel {
  readonly ring: ShownRing
  readonly kid: string
  /** Until then a verifier may have the key cached. */
  readonly exposedUntil: number
  /** Known verifiers that have it cached. */
  readonly holders: readonly ShownAffected[]
  /** Who would refuse good tokens. */
  readonly failing: readonly ShownAffected[]
  /** Until then there are tokens that the key has signed; null if there are none. */
  readonly tokensUntil: number | null
}

export function revokePage(asked: Asked, model: RevokeModel, page: ConsoleContext): string {
  const { keys: words, places } = page.words
  const { ring, kid } = model
  const lane = lanesOf(ring).find(({ active, next }) => kid === active || kid === next)
  return confirmPage(
    {
      ...asked,
      place: 'keys',
      title: words.revokeTitle(shortKid(kid)),
      subject: page.words.overview.ring,
      back: { href: pageUrl(page, KEYS_PATH), label: places.keys },
      path: `${KEYS_PATH}/revoke`,
      follows: [
        words.revokeFollows(code(kid)),
        kid === lane?.active && words.revokeActive(code(lane.next)),
        kid === lane?.next && words.revokeNext,
        model.tokensUntil !== null && words.tokensRefused(dateTime(page, model.tokensUntil)),
      ],
      details: html`<h3>${words.exposure}</h3><p>${words.exposed(dateTime(page, model.exposedUntil))}</p>
${model.holders.length > 0 && html`<ul class="follows">${model.holders.map((one) => html`<li>${words.heldBy(who(one, page), dateTime(page, one.until))}</li>`)}</ul>`}
${affectedList(
  words.failures,
  model.failing.map((one) =>
    words.affected(who(one, page), dateTime(page, one.from), dateTime(page, one.until)),
  ),
)}`,
      submit: words.revoke,
    },
    page,
  )
}

export function forgetPage(asked: Asked, verifier: string, page: ConsoleContext): string {
  const { keys, places } = page.words
  return confirmPage(
    {
      ...asked,
      place: 'keys',
      title: keys.verifiers.forgetTitle(verifier),
      subject: verifier,
      back: { href: pageUrl(page, KEYS_PATH), label: places.keys },
      path: `${KEYS_PATH}/verifiers/forget`,
      follows: [keys.verifiers.forgetText],
      submit: keys.verifiers.forget,
    },
    page,
  )
}
