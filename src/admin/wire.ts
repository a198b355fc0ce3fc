/** Names that the HTTP API and its remote implementation share. */

/** `type` of a problem document begins with it (RFC 9457 §3.1.1). */
export const PROBLEM_TYPE = 'urn:keyturn:problem:'

/** Notes are in a header field, because the body is the resource. Each is percent-encoded; commas separate them. */
export const NOTES_HEADER = 'keyturn-notes'

/** Proxies and HTTP clients refuse responses with longer headers, and the answer may contain a secret that is in no other. */
export const MAX_NOTES_LENGTH = 2000

const CUT = encodeURIComponent('…')

/** Notes that are too long are cut: they say what follows, and the resource says what is. */
export function encodeNotes(notes: readonly string[]): string {
  let field = ''
  for (const note of notes) {
    const separator = field === '' ? '' : ', '
    const whole = separator + encodeURIComponent(note)
    if (field.length + whole.length + CUT.length <= MAX_NOTES_LENGTH) {
      field += whole
      continue
    }
    field += separator
    for (const char of note) {
      const next = encodeURIComponent(char)
      if (field.length + next.length + CUT.length > MAX_NOTES_LENGTH) return field + CUT
      field += next
    }
  }
  return field
}

/** @throws {URIError} */
export const decodeNotes = (field: string | null): string[] =>
  field ? field.split(',').map((note) => decodeURIComponent(note.trim())) : []
