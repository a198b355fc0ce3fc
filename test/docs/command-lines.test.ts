/** Every command line that the pages show is parsed by the program. What the pages paste is run by the tests of those pages. */
import type { Command } from 'commander'
import t from 'tap'
import { readableArguments } from '../../src/cli/arguments.ts'
import { createContext } from '../../src/cli/context.ts'
import type { Io } from '../../src/cli/io.ts'
import { takeServer } from '../../src/cli/remote/server-url.ts'
import { createProgram } from '../../src/cli/run.ts'
import { commandLines, namedCommands } from '../support/docs/command-lines.ts'
import { read, repositoryFiles } from '../support/docs/documents.ts'

const io = { out() {}, err() {}, columns: 80, operator: 'tester' } as unknown as Io

/** The program without what its commands do. */
async function parser(): Promise<Command> {
  const program = await createProgram(createContext(io))
  const disarm = (command: Command): void => {
    command.action(() => {})
    for (const child of command.commands) disarm(child as Command)
  }
  for (const child of program.commands) disarm(child as Command)
  return program
}

/** @returns why the program refuses the words, or '' */
async function refusal(words: readonly string[]): Promise<string> {
  try {
    const { args } = takeServer(words, {})
    const program = await parser()
    await program.parseAsync(readableArguments(program, args), { from: 'user' })
    return ''
  } catch (error) {
    const { code, message } = error as Error & { code?: string }
    return code === 'commander.helpDisplayed' ? '' : message
  }
}

const pages = repositoryFiles().filter((path) => path.endsWith('.md') && !path.startsWith('node_modules/'))
const texts = pages.map((path) => ({ path, text: read(path) }))

t.test('every command line on the pages is one that the program accepts', async (t) => {
  let count = 0
  for (const { path, text } of texts) {
    for (const words of commandLines(text)) {
      // A value that the page has shortened.
      if (words.some((word) => word.endsWith('…'))) continue
      count += 1
      t.equal(await refusal(words), '', `${path}: ${words.join(' ')}`)
    }
  }
  t.ok(count > 60, `${count} command lines`)
})

t.test('every example in the help of a command is one that the program accepts', async (t) => {
  const examples: string[] = []
  const printed = { ...io, out: (text: string) => examples.push(...(text.match(/^ {2}\$ .*$/gm) ?? [])) }
  const helpOf = async (command: Command, path: readonly string[]): Promise<void> => {
    const program = await createProgram(createContext(printed as unknown as Io))
    await t.rejects(program.parseAsync([...path, '--help'], { from: 'user' }))
    for (const child of command.commands) await helpOf(child as Command, [...path, child.name()])
  }
  await helpOf(await parser(), [])
  const lines = examples.flatMap((line) => commandLines(`    ${line}`))
  for (const words of lines) {
    if (words.some((word) => word.endsWith('…'))) continue
    t.equal(await refusal(words), '', words.join(' '))
  }
  t.ok(lines.length > 80, `${lines.length} examples`)
})

t.test('every command and option that a sentence names exists', async (t) => {
  const program = await parser()
  const top = new Set(program.commands.map((command) => command.name()))
  let count = 0
  for (const { path, text } of texts) {
    for (const words of namedCommands(text, top)) {
      count += 1
      let command: Command = program
      const rest = [...words]
      for (let child: Command | undefined = command; child; ) {
        child = command.commands.find((one) => one.name() === rest[0]) as Command | undefined
        if (!child) break
        command = child
        rest.shift()
      }
      const known = (flag: string) =>
        flag === '--server' ||
        flag === '--help' ||
        command.options.some(({ long, short }) => flag === long || flag === short)
      const unknown = rest
        .filter((word) => /^--?[a-z]/.test(word))
        .map((word) => word.replace(/[=,].*/, ''))
        .filter((flag) => !known(flag))
      t.same(unknown, [], `${path}: ${words.join(' ')}`)
      t.ok(
        command.commands.length === 0 || rest.length === 0 || command.name() === 'audit',
        `${path}: ${words.join(' ')}`,
      )
    }
  }
  t.ok(count > 100, `${count} mentions`)
})

t.test('the two readers of pages find what they are meant to find', async (t) => {
  const page = [
    '    A=1 npx keyturn clients create --name "The shop" \\',
    '      --grant authorization_code | tee x    # a comment',
    '```sh',
    "printf 'x y' | npx keyturn users create alice --password-stdin && npx keyturn nodes > file",
    '```',
    'Run `npx keyturn keys revoke <kid>`, `clients update shop --pkce required` or `users …`.',
  ].join('\n')
  t.same(commandLines(page), [
    ['clients', 'create', '--name', 'The shop', '--grant', 'authorization_code'],
    ['users', 'create', 'alice', '--password-stdin'],
    ['nodes'],
  ])
  t.same(namedCommands(page, new Set(['keys', 'clients', 'users'])), [
    ['keys', 'revoke', '<kid>'],
    ['clients', 'update', 'shop', '--pkce', 'required'],
    ['users'],
  ])
})
