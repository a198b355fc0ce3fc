/**
 * The syntax of a `.env` file. Must not know any setting. A line that is no assignment, comment or blank line is a problem and never
 * skipped: the setting that it was meant to be would silently have its default.
 */

interface EnvFile {
  readonly variables: NodeJS.Dict<string>
  /** The numbers of the lines that are not understood, and why; never their text, which may contain a secret. */
  readonly problems: readonly string[]
}

const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*)$/
const BLANK_OR_COMMENT = /^\s*(?:#|$)/
const COMMENT_AFTER_QUOTE = /^\s*(?:#.*)?$/

export function parseEnvFile(text: string): EnvFile {
  const variables: NodeJS.Dict<string> = {}
  const problems: string[] = []
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i] ?? ''
    if (BLANK_OR_COMMENT.test(line)) continue
    const [, name, written = ''] = ASSIGNMENT.exec(line) ?? []
    if (name === undefined) {
      problems.push(`line ${i + 1} must be NAME=value, a comment or blank`)
      continue
    }
    const quote = /^["'`]/.exec(written)?.[0]
    if (quote === undefined) {
      variables[name] = unquoted(line.slice(line.indexOf('=') + 1))
      continue
    }
    const quoted = readQuoted(quote, written.slice(1), lines.slice(i + 1))
    if (quoted === null) problems.push(`line ${i + 1} has no closing quote, or text after it`)
    else {
      variables[name] = quoted.value
      i += quoted.moreLines
    }
  }
  return { variables, problems }
}

/** As in a shell, `#` begins a comment only after white space: a colour or a password may contain it. */
const unquoted = (written: string): string => written.replace(/\s#.*$/, '').trim()

/** The value up to the closing quote, which may be in a later line; null if there is none, or text after it. */
function readQuoted(quote: string, first: string, following: readonly string[]) {
  let text = first
  for (let moreLines = 0; moreLines <= following.length; moreLines += 1) {
    const end = closingQuote(text, quote)
    if (end >= 0) {
      if (!COMMENT_AFTER_QUOTE.test(text.slice(end + 1))) return null
      return { value: quote === '"' ? withEscapes(text.slice(0, end)) : text.slice(0, end), moreLines }
    }
    text += `\n${following[moreLines]}`
  }
  return null
}

/** In double quotes, a backslash before a quote makes it a part of the value. */
function closingQuote(text: string, quote: string): number {
  if (quote !== '"') return text.indexOf(quote)
  const match = /^(?:[^"\\]|\\[\s\S])*"/.exec(text)
  return match ? match[0].length - 1 : -1
}

const withEscapes = (text: string): string =>
  text.replace(/\\(["\\n])/g, (_, character) => (character === 'n' ? '\n' : character))
