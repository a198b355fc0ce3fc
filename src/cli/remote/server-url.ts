/** Which server a command administers. Must not know any command. */
import { SERVER_VARIABLE } from '../../config/load.ts'
import { issuer } from '../../config/parsers.ts'
import { KeyturnError } from '../../errors.ts'

export interface ChosenServer {
  /** The issuer URL. */
  readonly url: string
  /** True for `--server`, false for `KEYTURN_SERVER`. */
  readonly explicit: boolean
}

/** `--server` cannot be followed. The message is one line; exit code 2. */
class InvalidServer extends KeyturnError<'invalid_server'> {
  constructor(message: string) {
    super('invalid_server', message)
  }
}

const OPTION = '--server'

/**
 * `--server` may stand anywhere before `--`, also before the name of the command, so it is removed before commander reads the others.
 * @throws {InvalidServer}
 */
export function takeServer(
  given: readonly string[],
  env: NodeJS.ProcessEnv,
): { readonly args: readonly string[]; readonly server: ChosenServer | null } {
  const end = given.includes('--') ? given.indexOf('--') : given.length
  const words = given.slice(0, end)
  const args: string[] = []
  const urls: string[] = []
  while (words.length > 0) {
    const word = words.shift() ?? ''
    if (word !== OPTION && !word.startsWith(`${OPTION}=`)) {
      args.push(word)
      continue
    }
    const value = word === OPTION ? words.shift() : word.slice(OPTION.length + 1)
    if (value === undefined) throw new InvalidServer(`${OPTION} needs the URL of a server`)
    urls.push(value)
  }
  args.push(...given.slice(end))
  if (urls.length > 1) throw new InvalidServer(`${OPTION} is given twice`)
  const [url] = urls
  if (url !== undefined) return { args, server: { url: serverUrl(url, OPTION), explicit: true } }
  const { [SERVER_VARIABLE]: variable = '' } = env
  if (variable === '') return { args, server: null }
  return { args, server: { url: serverUrl(variable, SERVER_VARIABLE), explicit: false } }
}

/**
 * The rules of the setting `ISSUER` apply; above all, plain http never leaves this machine, because an access token for the
 * administration is sent there.
 * @param what for the message
 * @throws {InvalidServer}
 */
export function serverUrl(text: string, what: string): string {
  try {
    return issuer(text)
  } catch (error) {
    throw new InvalidServer(`${what} ${(error as Error).message}`)
  }
}
