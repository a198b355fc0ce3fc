/**
 * A real browser: Chromium from npm, one process per test file, with web security enabled. Every complaint of a page
 * (console, policy, scripts, requests) is collected and fails the test in the end.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type LaunchOptions,
  type Page,
} from 'playwright-core'
import t, { type Test } from 'tap'
import { root } from '../docs/documents.ts'
import { HANG_MS } from '../server/waiting.ts'

/** Names under .test resolve to this machine, for origins on another site than localhost. */
const ARGS = ['--host-resolver-rules=MAP *.test 127.0.0.1', '--force-color-profile=srgb']

const PACKAGE = '@sparticuz/chromium'

/**
 * Unpacked once and put in place atomically: test files run concurrently, and one that is killed while unpacking must
 * not leave half a browser. The package’s own arguments are not used: they switch off the same-origin policy.
 */
async function unpacked(): Promise<string> {
  const { version } = createRequire(import.meta.url)(`${root}node_modules/${PACKAGE}/package.json`)
  const folder = join(root, 'node_modules/.cache/keyturn-chromium', version)
  if (!existsSync(join(folder, 'chromium'))) {
    mkdirSync(dirname(folder), { recursive: true })
    const made = mkdtempSync(`${folder}-`)
    const { TMPDIR } = process.env
    process.env.TMPDIR = made
    try {
      const { default: archive, inflate } = await import('@sparticuz/chromium')
      await archive.executablePath()
      // System libraries that a minimal machine lacks.
      await inflate(join(root, 'node_modules', PACKAGE, 'bin/al2023.tar.br'))
    } finally {
      if (TMPDIR === undefined) delete process.env.TMPDIR
      else process.env.TMPDIR = TMPDIR
    }
    try {
      renameSync(made, folder)
    } catch {
      rmSync(made, { recursive: true, force: true })
    }
  }
  return folder
}

async function launch(): Promise<Browser> {
  const folder = await unpacked()
  const options: LaunchOptions = { executablePath: join(folder, 'chromium'), args: ARGS, timeout: HANG_MS }
  try {
    return await chromium.launch(options)
  } catch (error) {
    if (!/shared librar/.test(String(error))) throw error
    const env = {
      ...(process.env as Record<string, string>),
      LD_LIBRARY_PATH: join(folder, 'al2023/lib'),
      FONTCONFIG_PATH: join(folder, 'fonts'),
    }
    return await chromium.launch({ ...options, env })
  }
}

let running: Promise<Browser> | undefined

/** The file’s browser; started when first used. */
export function browser(): Promise<Browser> {
  running ??= launch().then((one) => {
    t.teardown(() => one.close())
    return one
  })
  return running
}

/**
 * A test in a real browser. Without one it is skipped with a warning, or fails if `CI` is set. In the end none of its
 * windows may have reported a problem.
 */
export function browserTest(
  title: string,
  body: (t: Test, open: (options?: BrowserContextOptions) => Promise<Window>) => Promise<void>,
): void {
  t.test(title, async (t): Promise<void> => {
    try {
      await browser()
    } catch (error) {
      const why = `THERE IS NO BROWSER HERE, NOTHING WAS TESTED: ${String(error).split('\n')[0]}`
      if (process.env.CI) throw error
      process.stderr.write(`${why}\n`)
      t.pass('no browser', { skip: why })
      return
    }
    const opened: { context: BrowserContext; complaints(): string[] }[] = []
    try {
      await body(t, async (options) => {
        const { context, complaints, window } = await openWindow(options)
        opened.push({ context, complaints })
        return window
      })
    } catch (error) {
      for (const { context, complaints } of opened) {
        t.comment(complaints())
        for (const page of context.pages()) {
          t.comment(page.url(), await page.evaluate('document.body.innerText').catch(String))
        }
      }
      throw error
    } finally {
      // The browser closes before the servers, which would wait for its idle connections.
      await Promise.all(opened.map(({ context }) => context.close()))
    }
    t.same(
      opened.flatMap(({ complaints }) => complaints()),
      [],
      'no browser has reported a problem',
    )
  })
}

type Cookie = Awaited<ReturnType<BrowserContext['cookies']>>[number]

/** A browser window with its own cookies. */
interface Window {
  readonly context: BrowserContext
  tab(): Promise<Page>
  /** Complaints that the test provokes; each must occur. */
  expect(...complaints: readonly RegExp[]): void
  cookies(): Promise<Record<string, Cookie>>
}

async function openWindow(options: BrowserContextOptions = {}) {
  const context = await (await browser()).newContext({ locale: 'en-GB', ...options })
  context.setDefaultTimeout(HANG_MS)
  const complaints: string[] = []
  const expected: RegExp[] = []
  // Policy violations are console errors too, with or without scripts.
  context.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return
    complaints.push(`${message.type()}: ${message.text()} (${message.location().url.split('?')[0]})`)
  })
  context.on('weberror', (error) => complaints.push(`thrown: ${error.error().message}`))
  context.on('requestfailed', (request) => {
    const why = request.failure()?.errorText
    // Not a complaint: the page was left while it loaded. Requests that a policy stops are reported in the console.
    if (why !== 'net::ERR_ABORTED') complaints.push(`request: ${request.url()} ${why}`)
  })

  const window: Window = {
    context,
    tab: () => context.newPage(),
    expect: (...more) => expected.push(...more),
    async cookies() {
      return Object.fromEntries((await context.cookies()).map((cookie) => [cookie.name, cookie]))
    },
  }
  return {
    context,
    window,
    complaints() {
      const missing = expected.filter((one) => !complaints.some((text) => one.test(text)))
      const rest = complaints.filter((text) => !expected.some((one) => one.test(text)))
      return [...rest, ...missing.map((one) => `missing: ${one}`)]
    },
  }
}
