/** The operator's logo, read and checked at startup, so that a broken file is noticed before users see the login page. */
import { readFileSync, statSync } from 'node:fs'
import { pixelImageType } from '../image-type.ts'
import { path } from './parsers.ts'

export interface Logo {
  readonly contentType: string
  readonly body: Buffer
}

const MAX_BYTES = 200 * 1024

export function logo(file: string): Logo {
  const body = readLogo(path(file))
  const contentType = pixelImageType(body) ?? (isSvg(body) ? 'image/svg+xml' : null)
  if (contentType === null) throw new Error('must be an SVG, PNG, JPEG or WebP file')
  return { contentType, body }
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
