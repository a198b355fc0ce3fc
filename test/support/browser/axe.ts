/** What axe-core finds on a page: the rules of WCAG that a program can check. */
import { createHash } from 'node:crypto'
import axe from 'axe-core'
import type { Page } from 'playwright-core'

/** Where scripts are switched off axe cannot run; the pages are the same. */
const SCRIPTS_RUN = `{
  const probe = document.createElement('div')
  probe.innerHTML = '<noscript><i></i></noscript>'
  probe.firstChild.firstElementChild === null
}`

/** Pages that were looked through in this file, but for what is new each time. */
const known = new Set<string>()

/** Serious and critical ones, as `rule: element`. */
export async function axeFindings(page: Page): Promise<string[]> {
  if (!(await page.evaluate(SCRIPTS_RUN))) return []
  const html = (await page.content()).replace(/(value|href|data-options|action)="[^"]*"/g, '')
  const scheme = await page.evaluate('matchMedia("(prefers-color-scheme: dark)").matches')
  const hash = createHash('sha256')
    .update(`${scheme} ${JSON.stringify(page.viewportSize())} ${html}`)
    .digest('base64')
  if (known.has(hash)) return []
  known.add(hash)
  await page.evaluate(axe.source)
  // No preload: it fetches the style sheet by script, which the page's policy forbids.
  const found = await page.evaluate<{
    violations: { id: string; impact: string; nodes: { html: string }[] }[]
  }>("axe.run(document, { preload: false, resultTypes: ['violations'] })")
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
}
