/** The parts that forms are made of. */
import { type Content, type Html, html } from './html.ts'
import type { PageContext } from './page.ts'

/** Sent along with a form and not shown; null and undefined are left out. */
export type HiddenFields = Readonly<Record<string, string | null | undefined>>

export const hidden = (fields: HiddenFields): Html[] =>
  Object.entries(fields).flatMap(([name, value]) =>
    typeof value === 'string' ? html`<input type="hidden" name="${name}" value="${value}">` : [],
  )

/** An address of ours, with a query of what is not null. */
export function ours({ prefix }: PageContext, path: string, query: HiddenFields = {}): string {
  const search = new URLSearchParams(
    Object.entries(query).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  ).toString()
  return `${prefix}${path}${search === '' ? '' : `?${search}`}`
}

export interface Form {
  /** Below the issuer: `/login`. */
  readonly path: string
  readonly fields?: HiddenFields
  readonly content: Content
  readonly className?: string
  /** Further attributes, as markup. */
  readonly attributes?: Html
}

/** @throws Error without a CSRF token: a form of ours is never sent without one (SECURITY 41) */
export function form(page: PageContext, { path, fields = {}, content, className, attributes }: Form): Html {
  if (page.csrf === undefined || page.csrf === '') throw new Error(`the form ${path} has no CSRF token`)
  return html`<form method="post" action="${ours(page, path)}"${className !== undefined && html` class="${className}"`}${attributes && html` ${attributes}`}>
${hidden({ csrf: page.csrf, ...fields })}
${content}
</form>`
}

export interface Field {
  readonly name: string
  readonly label: Content
  readonly type?: 'text' | 'password'
  readonly value?: string
  readonly autocomplete: string
  readonly hint?: Content
  /** The field is what was wrong; the page's alert says why. */
  readonly invalid?: boolean
  readonly autofocus?: boolean
  /** Digits of a code. */
  readonly digits?: number
  readonly maxlength?: number
  /** Nobody's language: user names, codes. Neither corrected nor begun with a capital. */
  readonly verbatim?: boolean
  readonly className?: string
}

/** `id` of the alert, which says what is wrong with a field (`aria-describedby`). */
const ALERT_ID = 'problem'

export function field(one: Field): Html {
  const id = `field-${one.name.replaceAll('_', '-')}`
  const described = [one.hint && `${id}-hint`, one.invalid && ALERT_ID].filter(Boolean).join(' ')
  const verbatim = one.verbatim || one.digits !== undefined
  return html`<div class="field">
<label for="${id}">${one.label}</label>
${one.hint && html`<p class="hint" id="${id}-hint">${one.hint}</p>`}
<input id="${id}" name="${one.name}" type="${one.type ?? 'text'}" autocomplete="${one.autocomplete}" required${[
    one.value !== undefined && one.value !== '' && html` value="${one.value}"`,
    one.digits !== undefined &&
      html` inputmode="numeric" pattern="[0-9 ]*" maxlength="${one.digits + 1}" class="code"`,
    one.maxlength !== undefined && html` maxlength="${one.maxlength}"`,
    one.className !== undefined && html` class="${one.className}"`,
    verbatim && html` autocapitalize="none" autocorrect="off" spellcheck="false"`,
    one.invalid && html` aria-invalid="true"`,
    described !== '' && html` aria-describedby="${described}"`,
    one.autofocus && html` autofocus`,
  ]}>
</div>`
}

export type ButtonKind = 'primary' | 'secondary' | 'danger'

export interface Button {
  readonly label: Content
  readonly kind?: ButtonKind
  readonly name?: string
  readonly value?: string
  /** Said by screen readers after the label, where there are several of a kind: "Remove: Laptop". */
  readonly of?: string | undefined
}

const what = (of: string | undefined): Content =>
  of !== undefined && html`<span class="unseen">: ${of}</span>`

export const button = ({ label, kind = 'primary', name, value, of }: Button): Html =>
  html`<button type="submit" class="button ${kind}"${
    name !== undefined && html` name="${name}" value="${value ?? ''}"`
  }><span>${label}${what(of)}</span></button>`

export const buttonLink = (href: string, label: Content, kind: ButtonKind = 'secondary'): Html =>
  html`<a class="button ${kind}" href="${href}"><span>${label}</span></a>`

/**
 * What went wrong. Where a field is at fault the field takes the focus and is described by this; where none is, this
 * takes it.
 */
export const alert = (text: Content, focus: boolean): Content =>
  text !== null &&
  html`<div class="message bad" id="${ALERT_ID}" role="alert" tabindex="-1"${focus && html` autofocus`}><p>${text}</p></div>`

/** Something to know, which is no mistake: that it was done, or why somebody is here. */
export const notice = (text: Content, done: boolean): Content =>
  text !== null && html`<div class="message ${done ? 'good' : 'plain'}" role="status"><p>${text}</p></div>`
