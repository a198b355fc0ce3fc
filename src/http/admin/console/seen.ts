/**
 * What an administrator saw when a form was opened: the revision, and the values, which tell later what others have changed. A form
 * carries long values as digests, so that it can be sent however much a resource contains. Must not know any resource.
 */
import { createHash } from 'node:crypto'
import type { Found } from '../../../admin/verbs.ts'
import type { Change, FormField, Values } from '../../../views/admin/form.ts'
import type { HiddenFields } from '../../../views/forms.ts'
import type { PageRequest } from '../../page-request.ts'
import type { Visit } from './visit.ts'

const SEEN = 'seen.'
const DIGEST = 'digest.'

/** Of all values that a form carries as text. Percent-encoded they are up to three times as long, and a form may have 64 KB. */
const MAX_SEEN_BYTES = 8192

/** Shown instead of a value of which the form carries only the digest. */
const NOT_KEPT = '…'

export interface Seen {
  is(name: string, value: string): boolean
  /** What the page shows as the earlier value. */
  shown(name: string): string
  /** The same fields again, for a page that is sent once more. */
  readonly fields: HiddenFields
}

/** Browsers send a line break as CR LF (HTML §4.10.22.4). */
export const normalized = (text: string | undefined): string => (text ?? '').replaceAll('\r\n', '\n').trim()

const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url')

/** The hidden fields of a form. Short values are carried first. */
export function seenFields({ revision }: Found<unknown>, values: Values): HiddenFields {
  let left = MAX_SEEN_BYTES
  const fields = Object.entries(values)
    .map(([name, value]) => ({ name, text: normalized(value), bytes: Buffer.byteLength(value) }))
    .sort((a, b) => a.bytes - b.bytes)
    .map(({ name, text, bytes }) => {
      left -= bytes
      return left >= 0 ? [SEEN + name, text] : [DIGEST + name, digestOf(text)]
    })
  return { revision: revision === null ? null : String(revision), ...Object.fromEntries(fields) }
}

/** undefined if the form has none, as for a new resource. */
export function revisionOf({ form }: Pick<PageRequest, 'form'>): number | undefined {
  const text = form.get('revision') ?? ''
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** What a form carries of these values. A value that it does not carry was empty. */
export function seenIn({ form }: Pick<PageRequest, 'form'>, names: readonly string[]): Seen {
  const text = (name: string) => normalized(form.get(SEEN + name))
  const digest = (name: string) => form.get(DIGEST + name)
  return {
    is: (name, value) =>
      digest(name) === undefined
        ? text(name) === normalized(value)
        : digest(name) === digestOf(normalized(value)),
    shown: (name) => (digest(name) === undefined ? text(name) : NOT_KEPT),
    fields: {
      revision: String(revisionOf({ form }) ?? ''),
      ...Object.fromEntries(
        names.flatMap((name) => [
          [SEEN + name, digest(name) === undefined ? text(name) : null],
          [DIGEST + name, digest(name) ?? null],
        ]),
      ),
    },
  }
}

/** What others have changed since the page was opened. */
export function changesSince(
  seen: Seen,
  now: Values,
  labels: readonly Pick<FormField, 'name' | 'label' | 'kind'>[],
  words: Visit['page']['words'],
): Change[] {
  const shown = (kind: FormField['kind'], value: string) =>
    kind === 'check' ? (value === 'yes' ? words.common.yes : words.common.no) : value
  return labels
    .filter(({ name }) => !seen.is(name, now[name] ?? ''))
    .map(({ name, label, kind }) => ({
      label,
      before: shown(kind, seen.shown(name)),
      now: shown(kind, now[name] ?? ''),
    }))
}
