/** The operator's logo, read and checked at startup, so that a broken file is noticed before users see the login page. */
import { readFileSync, statSync } from 'node:fs'
import { path } from './parsers.ts'

export interface Logo {
  readonly contentType: string
  readonly body: Buffer
}

const MAX_BYTES = 200 * 1024

/** Detected by content, because the file name may be wrong. */
const FORMATS: readonly (readonly [contentType: string, is: (body: Buffer) => boolean])[] = [
  ['image/png', (body) => body.subarray(0, 8).equals(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'))],
  ['image/jpeg', (body) => body.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff]))],
  [
    'image/webp',
    (body) => body.toString('latin1', 0, 4) === 'RIFF' && body.toString('latin1', 8, 12) === 'WEBP',
  ],
  ['image/svg+xml', isSvg],
]

export function logo(file: string): Logo {
  const body = readLogo(path(file))
  const format = FORMATS.find(([, is]) => is(body))
  if (!format) throw new Error('must be an SVG, PNG, JPEG or WebP file')
  return { contentType: format[0], body }
}

function readLogo(file: string): Buffer {
  let size: number
  let body: Buffer
  try {
    size = statSync(file).size
    body = size > MAX_BYTES ? Buffer.alloc(0) : readFileSync(file)
  } catch (error) {
    throw new Error(`must be a readable file (${(error as NodeJS.ErrnoException).code})`)
  }
  if (size > MAX_BYTES) throw new Error('must be a file of at most 200 KB')
  return body
}

/** Only the root element matters; declarations, comments and a DOCTYPE before it are skipped. */
function isSvg(body: Buffer): boolean {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return false
  }
  return /^\s*(?:<svg[\s>]|<svg:svg[\s>])/.test(
    text.replace(/<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<!DOCTYPE[^>[]*(?:\[[^\]]*\])?\s*>/g, ''),
  )
}
