import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import { anchor, read, repositoryFiles, root } from '../support/docs/documents.ts'

const files = repositoryFiles()
const pages = files.filter((path) => path.endsWith('.md'))

/** Without code, where brackets are not links. */
const prose = (page: string) =>
  read(page)
    .replace(/^```[\s\S]*?^```$/gm, '')
    .replace(/`[^`\n]*`/g, '')

const links = (page: string) =>
  [...prose(page).matchAll(/!?\[[^\]]*\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)

function anchors(page: string): string[] {
  const headings =
    read(page)
      .replace(/^```[\s\S]*?^```$/gm, '')
      .match(/^#+ .*$/gm) ?? []
  return headings.map((heading) => anchor(heading.replace(/^#+ /, '').replaceAll('`', '')))
}

/** The repository path of a relative link; undefined for web links. */
function target(page: string, link: string): { path: string; fragment: string | undefined } | undefined {
  if (/^[a-z]+:/.test(link)) return undefined
  const [path = '', fragment] = link.split('#')
  return { path: path === '' ? page : normalize(join(dirname(page), path)), fragment }
}

t.test('every link inside the repository has a target', async (t) => {
  for (const page of pages) {
    for (const link of links(page)) {
      const to = target(page, link)
      if (!to) continue
      t.ok(existsSync(root + to.path), `${page}: ${link}`)
      if (to.fragment) t.ok(anchors(to.path).includes(to.fragment), `${page}: ${link} has a matching heading`)
    }
  }
})

t.test('every page is reachable from the README', async (t) => {
  const reached = new Set(['README.md'])
  for (const page of reached) {
    for (const link of links(page)) {
      const to = target(page, link)
      if (to && pages.includes(to.path)) reached.add(to.path)
    }
  }
  const alone = pages.filter((page) => !reached.has(page))
  t.same(alone, [])
})

t.test('no file names the machine it was made on, or a package mirror', async (t) => {
  // In pieces, so that this file follows the rule too.
  const forbidden = [
    ['/wo', 'rk/'],
    ['/ro', 'ot/'],
    ['/ho', 'me/'],
    ['/Us', 'ers/'],
    ['registry.', 'npmjs'],
    ['registry.', 'yarnpkg'],
    ['npm', 'mirror'],
    ['proxy.', 'golang'],
    ['pypi', '.org'],
  ].map((pieces) => pieces.join(''))
  const binary = /\.(png|ico|woff2?|db)$/
  for (const path of files.filter((file) => !binary.test(file))) {
    const text = read(path)
    const found = forbidden.filter((name) => text.includes(name))
    if (found.length > 0) t.fail(`${path}: ${found.join(', ')}`)
  }
  t.ok(files.length > 100, 'files were checked')
})

t.test('the repository contains no databases, keys or environment files', async (t) => {
  const bad = files.filter((path) => /(^|\/)(master\.key|.*\.db|.*\.env|\.env)$/.test(path))
  t.same(bad, [])
})
