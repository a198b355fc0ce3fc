/** The frame of all pages of the console: navigation, the message about the last act, content. Must not know any resource. */
import { pageUrl } from '../forms.ts'
import { type Content, type Html, html } from '../html.ts'
import { frame, type PageContext } from '../page.ts'
import { CONSOLE_PATH } from './path.ts'
import type { ConsoleTexts } from './texts/index.ts'

export interface ConsoleContext extends PageContext {
  readonly words: ConsoleTexts
  /** The address of the console's own style sheet. */
  readonly consoleStyle: string
  /** Who is signed in. */
  readonly username: string
  /** What the last act did, shown once at the top. */
  readonly done: Done | null
}

export type Place = keyof ConsoleTexts['places']

/** In the order of the navigation. */
const PLACES: readonly Place[] = [
  'overview',
  'keys',
  'clients',
  'apis',
  'roles',
  'users',
  'sessions',
  'audit',
]

/** What an act did, and the notes of its verb. */
export interface Done {
  readonly place: Place
  /** A key of `done` of the texts of the place. */
  readonly act: string
  readonly subject: string
  /** In English, as commands print them. */
  readonly notes: readonly string[]
}

export const placePath = (place: Place): string =>
  place === 'overview' ? CONSOLE_PATH : `${CONSOLE_PATH}/${place}`

export interface ConsolePage {
  readonly place: Place
  readonly title: string
  readonly failed?: boolean
  /** Shown right of the heading. */
  readonly actions?: Content
  /** The page above this one. */
  readonly back?: { readonly href: string; readonly label: string }
  readonly intro?: Content
  readonly content: Content
}

export function consolePage(
  page: ConsoleContext,
  { place, title, failed = false, actions, back, intro, content }: ConsolePage,
): string {
  const { words, assets, consoleStyle } = page
  return frame(page, {
    title,
    failed,
    styles: [consoleStyle],
    scripts: [assets.localTimes],
    aside: html`<p class="who"><bdi>${page.username}</bdi> <a href="${pageUrl(page, '/account')}">${words.account}</a></p>`,
    navigation: navigation(page, place),
    content: html`<div class="console-page">
<div class="heading">
${back && html`<p class="back"><a href="${back.href}">${back.label}</a></p>`}
<h1>${title}</h1>
${actions && html`<div class="actions">${actions}</div>`}
</div>
${doneMessage(page)}
${intro && html`<p class="intro muted">${intro}</p>`}
${content}
</div>`,
  })
}

function navigation(page: ConsoleContext, current: Place): Html {
  const { words } = page
  const item = (place: Place) =>
    html`<li><a href="${pageUrl(page, placePath(place))}"${place === current && html` aria-current="page"`}>${words.places[place]}</a></li>\n`
  return html`<nav class="places" aria-label="${words.navigation}"><ul>
${PLACES.map(item)}</ul></nav>
`
}

/** Notes are English, as the command prints them, whatever the language of the page. */
export const noteList = (notes: readonly string[]): Content =>
  notes.length > 0 && html`<ul class="notes" lang="en">${notes.map((note) => html`<li>${note}</li>`)}</ul>`

function doneMessage({ done, words }: ConsoleContext): Content {
  if (!done) return null
  const texts: object = words[done.place as keyof ConsoleTexts] as object
  const acts = ('done' in texts ? texts.done : {}) as Record<string, ((subject: Content) => Html) | undefined>
  const act = Object.hasOwn(acts, done.act) ? acts[done.act] : undefined
  if (!act) return null
  return html`<div class="message good" role="status"><p>${act(html`<bdi class="name">${done.subject}</bdi>`)}</p>${noteList(done.notes)}</div>`
}
