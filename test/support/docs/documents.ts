/** The repository’s documents as tests read them: code blocks, tables, links. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const root: string = fileURLToPath(new URL('../../../', import.meta.url))

export function read(path: string): string {
  return readFileSync(root + path, 'utf8')
}

/** Files that git tracks or would add. */
export function repositoryFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
  })
  return listed
    .toString()
    .split('\n')
    .filter((path) => path !== '' && existsSync(root + path))
}

interface CodeBlock {
  readonly language: string
  /** What follows the language in the opening line. */
  readonly info: string
  readonly text: string
}

export function codeBlocks(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(/^```(\w*) *(.*)\n([\s\S]*?)^```$/gm)].map(
    ([, language = '', info = '', text = '']) => ({ language, info, text }),
  )
}

/** The cells of the first table below a heading, without its header. */
export function tableBelow(markdown: string, heading: string): string[][] {
  const lines = markdown.split('\n')
  const start = lines.indexOf(heading)
  if (start < 0) throw new Error(`there is no heading "${heading}"`)
  const section = lines.slice(start + 1)
  const first = section.findIndex((line) => line.startsWith('|'))
  const end = section.findIndex((line, index) => index > first && !line.startsWith('|'))
  return section.slice(first + 2, end < 0 ? undefined : end).map(cells)
}

/** `\|` is a bar inside a cell. */
function cells(line: string): string[] {
  return line
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'))
}

/** GitHub’s anchor of a heading. */
export function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-')
}
