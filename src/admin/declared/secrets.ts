/** The secrets that the document refers to. They are never part of it, of a plan or of a message. */
import { dirname, resolve } from 'node:path'
import { KeyturnError } from '../../errors.ts'
import { checkUserSuppliedSecret } from '../../oauth/client-registration/client-secrets.ts'
import { RegistrationError } from '../../oauth/client-registration/registration-error.ts'
import { exposedMessage, readSecretFile } from '../../secret-file.ts'
import { whyUnreadable, withoutFinalNewline } from '../../text.ts'
import type { Step } from './changes.ts'
import type { SecretReference } from './document.schema.ts'
import { DocumentError } from './document-error.ts'

export interface SecretSources {
  /** The file of the document, from whose folder the names of files start. */
  readonly document: string
  readonly env: NodeJS.ProcessEnv
}

/**
 * Reads what the steps need, and only that: a document can be applied where the secrets of its existing clients are not.
 * @returns by client; without those that are generated
 * @throws {DocumentError} before anything is changed
 */
export function readSecrets(steps: readonly Step[], sources: SecretSources): ReadonlyMap<string, string> {
  const secrets = new Map<string, string>()
  const problems: string[] = []
  for (const { secret: reference, id, entry } of new Set(steps.map(({ change }) => change))) {
    if (reference === undefined || 'generate' in reference) continue
    try {
      secrets.set(id, readSecret(reference, sources))
    } catch (error) {
      if (!(error instanceof RegistrationError || error instanceof Unreadable)) throw error
      problems.push(`${entry?.placeOf('secret')}: ${error.message}`)
    }
  }
  if (problems.length > 0) throw new DocumentError(problems)
  return secrets
}

class Unreadable extends KeyturnError<'invalid_document'> {
  constructor(message: string) {
    super('invalid_document', message)
  }
}

type Stored = Exclude<SecretReference, { generate: true }>

function readSecret(reference: Stored, { document, env }: SecretSources): string {
  const secret =
    'from_env' in reference ? fromEnv(reference.from_env, env) : fromFile(reference.from_file, document)
  if (/[\r\n]/.test(secret)) throw new Unreadable('the secret has more than one line')
  checkUserSuppliedSecret(secret)
  return secret
}

function fromEnv(name: string, env: NodeJS.ProcessEnv): string {
  const secret = env[name]
  if (secret === undefined || secret === '')
    throw new Unreadable(`the environment variable ${name} is not set`)
  return secret
}

function fromFile(name: string, document: string): string {
  const file = resolve(dirname(document), name)
  let read: ReturnType<typeof readSecretFile>
  try {
    read = readSecretFile(file)
  } catch (error) {
    throw new Unreadable(`${file} ${whyUnreadable(error)}`)
  }
  if (read.exposed) throw new Unreadable(exposedMessage(file))
  return withoutFinalNewline(read.text)
}
