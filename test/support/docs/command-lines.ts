/** The command lines of pages, as the words that a shell would give to the program. */

const PROGRAM = /(?:npx keyturn|src\/keyturn\.js) /g

/** Lines of fenced and indented blocks, with continued lines joined. */
function blockLines(markdown: string): string[] {
  let fenced = false
  const lines: string[] = []
  for (const line of markdown.replaceAll('\\\n', ' ').split('\n')) {
    if (line.startsWith('```')) fenced = !fenced
    else if (fenced || /^ {4}/.test(line)) lines.push(line)
  }
  return lines
}

/** The words up to the first operator or comment of a shell. `<kid>` is a word, as pages write it for something to fill in. */
function shellWords(text: string): string[] {
  const words: string[] = []
  for (const [, operator, comment, word = ''] of text.matchAll(
    /(&&|[|;>)]|<(?![a-z-]+>))|(#.*)|((?:"[^"]*"|'[^']*'|<[a-z-]+>|[^\s"'|;&<>)#]|(?<=\S)#)+)/g,
  )) {
    if (operator !== undefined || comment !== undefined) break
    words.push(word.replace(/"([^"]*)"|'([^']*)'/g, (_, double, single) => double ?? single))
  }
  return words
}

/** Each command line in a block, without the name of the program. */
export function commandLines(markdown: string): string[][] {
  return blockLines(markdown).flatMap((line) =>
    [...line.matchAll(PROGRAM)].map(({ index, 0: found }) => shellWords(line.slice(index + found.length))),
  )
}

/** Each command in the inline code of a sentence, with or without `npx keyturn`; `…` stands for more words. */
export function namedCommands(markdown: string, commands: ReadonlySet<string>): string[][] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '')
  return [...prose.matchAll(/`([^`]+)`/g)]
    .map(([, code = '']) => shellWords(code.replace(/^(?:npx )?keyturn /, '').replaceAll('…', ' ')))
    .filter(([first = '']) => commands.has(first))
}
