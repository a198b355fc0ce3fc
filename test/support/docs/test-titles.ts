import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './documents.ts'

/** Patterns of test titles, and of the store’s contract suites, where a title is the name of a member. */
const TITLES = [
  /\btest\(\s*(['"`])((?:\\.|(?!\1)[\s\S])*?)\1/g,
  /^ {2,4}(['"`])((?:\\.|(?!\1).)*)\1:\s+async\b/gm,
]

/** The titles in a test file, as written in the source. */
export function titles(path: string): string[] {
  const source = readFileSync(join(root, path), 'utf8')
  return TITLES.flatMap((pattern) => [...source.matchAll(pattern)].map(([, , title = '']) => title))
}
