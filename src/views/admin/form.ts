/** A page with the form of a resource: fields with their errors, and what others have changed since it was opened. */
import { alert, button, buttonLink, form, type HiddenFields } from '../forms.ts'
import { type Content, type Html, html } from '../html.ts'
import { type ConsoleContext, consolePage, type Place } from './page.ts'
import { table } from './table.ts'

/** What is in the fields. A list has one item on each line; a checkbox is `yes` or empty. */
export type Values = Readonly<Record<string, string>>

export interface FormField {
  readonly name: string
  readonly label: string
  readonly kind: 'text' | 'lines' | 'check' | 'choice'
  readonly hint?: Content
  readonly options?: readonly { readonly value: string; readonly label: string }[]
  readonly required?: boolean
  /** A heading before the field. */
  readonly group?: string
}

/** What another administrator has changed since the form was opened. */
export interface Change {
  readonly label: string
  readonly before: string
  readonly now: string
}

export interface ResourceForm {
  /** Below the issuer. */
  readonly path: string
  readonly cancel: string
  readonly hidden: HiddenFields
  readonly fields: readonly FormField[]
  readonly values: Values
  /** Why a field was refused, by its name; in English. */
  readonly errors: Values
  /** Why the whole was refused; in English. */
  readonly problem: string | null
  /** null unless the resource has changed since the form was opened. */
  readonly changes: readonly Change[] | null
}

export interface FormPage {
  readonly place: Place
  readonly title: string
  /** What the form changes, for the message about changes by others. */
  readonly subject: string
  readonly back: { readonly href: string; readonly label: string }
  readonly intro?: Content
  readonly submit: string
}

export function formPage(model: ResourceForm, page: ConsoleContext, options: FormPage): string {
  const { words } = page
  const failed = model.problem !== null || model.changes !== null
  return consolePage(page, {
    place: options.place,
    title: options.title,
    failed,
    back: options.back,
    ...(options.intro ? { intro: options.intro } : {}),
    content: html`${changesPanel(model.changes, page, options.subject)}
${problemAlert(model)}
${form(page, {
  path: model.path,
  fields: model.hidden,
  className: 'card block fields',
  content: html`${model.fields.map((field) => [
    field.group !== undefined &&
      html`<h2>${field.group}</h2>
`,
    fieldOf(field, model),
  ])}
<div class="buttons">${button({ label: options.submit })}${buttonLink(model.cancel, words.common.cancel, 'quiet')}</div>`,
})}`,
  })
}

/** An error that belongs to a field is written there; the alert then says only that there is one. */
const problemAlert = ({ problem }: ResourceForm): Content =>
  problem !== null && alert(html`<span lang="en">${problem}</span>`, true)

export const changesPanel = (
  changes: readonly Change[] | null,
  { words }: ConsoleContext,
  subject: string,
): Content =>
  changes !== null &&
  html`<section class="message plain changes" role="alert" aria-labelledby="changed">
<h2 id="changed">${words.changed.title(html`<bdi>${subject}</bdi>`)}</h2>
<p>${words.changed.text}</p>
${
  changes.length > 0 &&
  table({
    caption: words.changed.caption,
    columns: [{ label: words.changed.field }, { label: words.changed.before }, { label: words.changed.now }],
    rows: changes.map(({ label, before, now }) => [
      label,
      html`<del>${inLines(before)}</del>`,
      html`<ins>${inLines(now)}</ins>`,
    ]),
  })
}
</section>`

const inLines = (text: string): Content =>
  text === '' ? '–' : text.split('\n').map((line, index) => [index > 0 && html`<br>`, line])

function fieldOf(field: FormField, { values, errors }: ResourceForm): Html {
  const { name, label, kind, hint } = field
  const id = `field-${name.replaceAll(/[_.]/g, '-')}`
  const value = values[name] ?? ''
  const error = errors[name]
  const described = [hint ? `${id}-hint` : '', error === undefined ? '' : `${id}-error`]
    .filter(Boolean)
    .join(' ')
  const attributes = html`id="${id}" name="${name}"${described !== '' && html` aria-describedby="${described}"`}${error !== undefined && html` aria-invalid="true"`}`
  const problem = error !== undefined && html`<p class="error" id="${id}-error" lang="en">${error}</p>`
  if (kind === 'check') {
    return html`<div class="field"><label class="check"><input type="checkbox" value="yes" ${attributes}${value === 'yes' && html` checked`}> <span>${label}</span></label>
${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}${problem}</div>\n`
  }
  return html`<div class="field">
<label for="${id}">${label}</label>
${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
${control(field, attributes, value)}
${problem}</div>\n`
}

function control({ kind, options = [], required }: FormField, attributes: Html, value: string): Html {
  const verbatim = html` autocomplete="off" autocapitalize="none" autocorrect="off" spellcheck="false"${required && html` required`}`
  if (kind === 'lines') {
    const rows = Math.min(12, Math.max(3, value.split('\n').length + 1))
    return html`<textarea rows="${rows}" ${attributes}${verbatim}>
${value}</textarea>`
  }
  if (kind === 'choice') {
    return html`<select ${attributes}>
${options.map((one) => html`<option value="${one.value}"${one.value === value && html` selected`}>${one.label}</option>`)}
</select>`
  }
  return html`<input type="text" ${attributes}${verbatim} value="${value}">`
}
