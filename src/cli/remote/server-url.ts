/** Which server a command administers. Must not know any command. */
import { SERVER_VARIABLE } from '../../config/load.ts'
import { issuer } from '../../config/parsers.ts'
import { KeyturnError } from '../../errors.ts'

export interface ChosenServer {
  /** The issuer URL, without a slash at its end. */
  readonly url: string
  /** True for `--server`, false for `KEYTURN_SERVER`. */
  readonly explicit: boolean
}

/** `--server` cannot be followed. The message is one line; exit code 2. */
export class InvalidServer extends KeyturnError<'invalid_server'> {
  constructor(message: string) {
    super('invalid_server', message)
  }
}

/**
 * `--server` may stand anywhere before `--`, also before the name of the command, so it is removed before commander reads the others.
 * @throws {InvalidServer}
 */
export function takeServer(
  given: readonly string[],
  env: NodeJS.ProcessEnv,
): { readonly args: readonly string[]; readonly server: ChosenServer | null } {
  const end = given.includes('--') ? given.indexOf('--') : given.length
  const args: string[] = []
  const urls: string[] = []
  for (let i = 0; i < given.length; i += 1) {
    const arg = given[i] ?? ''
    const [, inline] = /^--server(?:=(.*))?$/s.exec(i < end ? arg : '') ?? []
    if (i >= end || !/^--server(?:=|$)/.test(arg)) {
      args.push(arg)
      continue
    }
    if (inline === undefined) i += 1
    const url = inline ?? (i < end ? given[i] : undefined)
    if (url === undefined) throw new InvalidServer('--server needs the URL of a server')
    urls.push(url)
  }
  if (urls.length > 1) throw new InvalidServer('--server is given twice')
  const [url] = urls
  if (url !== undefined) return { args, server: { url: serverUrl(url, '--server'), explicit: true } }
  const { [SERVER_VARIABLE]: variable = '' } = env
  if (variable === '') return { args, server: null }
  return { args, server: { url: serverUrl(variable, SERVER_VARIABLE), explicit: false } }
}

/**
 * The issuer URL in the one form that names its session. The rules of the setting `ISSUER` apply; above all, plain http never leaves
 * this machine, because an access token for the administration is sent there.
 * @param what for the message
 * @throws {InvalidServer}
 */
export function serverUrl(text: string, what: string): string {
  try {
    return issuer(text).replace(/\/$/, '')
  } catch (error) {
    throw new InvalidServer(`${what} ${(error as Error).message}`)
  }
}
