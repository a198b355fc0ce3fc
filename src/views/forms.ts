/** Forms and their parts: fields, buttons and messages. */
import { type Content, type Html, html, name } from './html.ts'
import type { PageContext } from './page.ts'

/** Hidden inputs of a form. null and undefined are left out. */
export type HiddenFields = Readonly<Record<string, string | null | undefined>>

export const hidden = (fields: HiddenFields): Html[] =>
  Object.entries(fields).flatMap(([name, value]) =>
    typeof value === 'string' ? html`<input type="hidden" name="${name}" value="${value}">` : [],
  )

/** The address of a page of this server, with those query parameters that are neither null nor undefined. */
export function pageUrl({ prefix }: PageContext, path: string, query: HiddenFields = {}): string {
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
  /** Additional attributes, as markup. */
  readonly attributes?: Html
}

/** @throws Error if the page has no CSRF token: every form that posts to this server needs one */
export function form(page: PageContext, { path, fields = {}, content, className, attributes }: Form): Html {
  if (page.csrf === undefined || page.csrf === '') throw new Error(`the form ${path} has no CSRF token`)
  return html`<form method="post" action="${pageUrl(page, path)}"${className !== undefined && html` class="${className}"`}${attributes && html` ${attributes}`}>
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
  /** The value was rejected; the page's alert says why. */
  readonly invalid?: boolean
  readonly autofocus?: boolean
  /** How many digits the code has. */
  readonly digits?: number
  readonly maxlength?: number
  /** The field is for a username or a code, which the browser must not correct or capitalise. */
  readonly verbatim?: boolean
  readonly className?: string
}

/** The `id` of the alert; a rejected field refers to it (`aria-describedby`). */
const ALERT_ID = 'problem'

export function field(options: Field): Html {
  const id = `field-${options.name.replaceAll('_', '-')}`
  const describedBy = [options.hint && `${id}-hint`, options.invalid && ALERT_ID].filter(Boolean).join(' ')
  const verbatim = options.verbatim || options.digits !== undefined
  return html`<div class="field">
<label for="${id}">${options.label}</label>
${options.hint && html`<p class="hint" id="${id}-hint">${options.hint}</p>`}
<input id="${id}" name="${options.name}" type="${options.type ?? 'text'}" autocomplete="${options.autocomplete}" required${[
    options.value !== undefined && options.value !== '' && html` value="${options.value}"`,
    options.digits !== undefined &&
      html` inputmode="numeric" pattern="[0-9 ]*" maxlength="${options.digits + 1}" class="code"`,
    options.maxlength !== undefined && html` maxlength="${options.maxlength}"`,
    options.className !== undefined && html` class="${options.className}"`,
    verbatim && html` autocapitalize="none" autocorrect="off" spellcheck="false"`,
    options.invalid && html` aria-invalid="true"`,
    describedBy !== '' && html` aria-describedby="${describedBy}"`,
    options.autofocus && html` autofocus`,
  ]}>
</div>`
}

/** `quiet`: it looks like a link. */
export type ButtonKind = 'primary' | 'secondary' | 'danger' | 'quiet'

export interface Button {
  readonly label: Content
  readonly kind?: ButtonKind
  readonly name?: string
  readonly value?: string
  /** Read by screen readers after the label, to tell identical buttons apart: "Remove: Laptop". */
  readonly subject?: string | undefined
}

const subjectForScreenReaders = (subject: string | undefined): Content =>
  subject !== undefined && html`<span class="visually-hidden">: ${subject}</span>`

export const button = ({ label, kind = 'primary', name, value, subject }: Button): Html =>
  html`<button type="submit" class="button ${kind}"${
    name !== undefined && html` name="${name}" value="${value ?? ''}"`
  }><span>${label}${subjectForScreenReaders(subject)}</span></button>`

export const buttonLink = (href: string, label: Content, kind: ButtonKind = 'secondary'): Html =>
  html`<a class="button ${kind}" href="${href}"><span>${label}</span></a>`

/**
 * Leads back to the application without signing in: posts `flow`, `csrf` to `/login/cancel`. Nothing if no application sent the
 * user here.
 */
export const cancelForm = (page: PageContext, flow: string | null, clientName: string | null): Content =>
  flow !== null &&
  clientName !== null &&
  form(page, {
    path: '/login/cancel',
    fields: { flow },
    content: button({ label: page.texts.common.cancelAndReturn(name(clientName)), kind: 'quiet' }),
  })

/** An error message. @param focus true if no field is invalid; otherwise the invalid field gets the focus */
export const alert = (text: Content, focus: boolean): Content =>
  text !== null &&
  html`<div class="message bad" id="${ALERT_ID}" role="alert" tabindex="-1"${focus && html` autofocus`}><p>${text}</p></div>`

/** A message that is not an error. @param done true if it confirms an action, false if it explains the page */
export const notice = (text: Content, done: boolean): Content =>
  text !== null && html`<div class="message ${done ? 'good' : 'plain'}" role="status"><p>${text}</p></div>`
