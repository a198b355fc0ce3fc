/** What the sources import, read from their text. */
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { repositoryFiles, root } from './documents.ts'

export interface Import {
  /** Repository path of the importing file. */
  readonly from: string
  /** Repository path of the imported file, or the name of a package. */
  readonly to: string
  /** True if the import is erased when the program runs. */
  readonly typeOnly: boolean
}

export const sourceFiles: readonly string[] = repositoryFiles().filter((path) =>
  /^(src|packages)\/.*\.ts$/.test(path),
)

export const sourceText = (path: string): string => readFileSync(`${root}/${path}`, 'utf8')

/** Without comments, so that a word in a sentence is not taken for code. */
export const code = (path: string): string =>
  sourceText(path)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '')

const STATEMENT = /^(?:import|export)\s+(type\s+)?([^'"`;]*?)\s*from\s+'([^']+)'/gm
const BARE = /^import\s+'([^']+)'/gm
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g

function importsOf(from: string): Import[] {
  const text = code(from)
  const resolve = (name: string) => (name.startsWith('.') ? posix.join(posix.dirname(from), name) : name)
  return [
    ...[...text.matchAll(STATEMENT)].map(([, type, names = '', name = '']) => ({
      from,
      to: resolve(name),
      typeOnly: type !== undefined || onlyTypes(names),
    })),
    ...[...text.matchAll(BARE), ...text.matchAll(DYNAMIC)].map(([, name = '']) => ({
      from,
      to: resolve(name),
      typeOnly: false,
    })),
  ]
}

/** `{ type A, type B }`. */
function onlyTypes(names: string): boolean {
  const [, list] = /^\{([\s\S]*)\}$/.exec(names) ?? []
  const items = (list ?? '').split(',').map((item) => item.trim())
  return items.some(Boolean) && items.every((item) => item === '' || item.startsWith('type '))
}

export const imports: readonly Import[] = sourceFiles.flatMap(importsOf)
