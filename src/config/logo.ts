/** A picture, read and looked at when the program starts: nobody is to find out on the sign-in page that it is none. */
import { readFileSync, statSync } from 'node:fs'

export interface Logo {
  readonly contentType: string
  readonly body: Buffer
}

const LARGEST = 200 * 1024

/** By what is in it: a name may say anything. */
const KINDS: readonly (readonly [contentType: string, is: (body: Buffer) => boolean])[] = [
  ['image/png', (body) => body.subarray(0, 8).equals(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'))],
  ['image/jpeg', (body) => body.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff]))],
  [
    'image/webp',
    (body) => body.toString('latin1', 0, 4) === 'RIFF' && body.toString('latin1', 8, 12) === 'WEBP',
  ],
  ['image/svg+xml', isSvg],
]

/** Path → the picture. */
export function logo(path: string): Logo {
  const body = read(path)
  const kind = KINDS.find(([, is]) => is(body))
  if (!kind) throw new Error('must be a file with an SVG, PNG, JPEG or WebP picture')
  return { contentType: kind[0], body }
}

function read(path: string): Buffer {
  let size: number
  let body: Buffer
  try {
    size = statSync(path).size
    body = size > LARGEST ? Buffer.alloc(0) : readFileSync(path)
  } catch (error) {
    throw new Error(`must be a file that can be read (${(error as NodeJS.ErrnoException).code})`)
  }
  if (size > LARGEST) throw new Error('must be a file of at most 200 KB')
  return body
}

/** The root is what matters; what comes before it is told apart from it, and no more. */
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
