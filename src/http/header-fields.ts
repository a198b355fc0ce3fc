/** Reads header fields that may be sent several times. */
import type { IncomingMessage } from 'node:http'

const NONE: readonly string[] = []

/** The values of all header fields with this name, in lower case. Node.js joins them with commas, or keeps only the first. */
export function fieldsOf(
  { headers, rawHeaders }: Pick<IncomingMessage, 'headers' | 'rawHeaders'>,
  name: string,
): readonly string[] {
  if (headers[name] === undefined) return NONE
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name)
}
