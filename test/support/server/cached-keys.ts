/**
 * RSA keys for servers whose keys do not matter to the test: generating one takes longer than most tests. They are
 * kept beside the installed packages, which git ignores, and generated where one is missing. Within a process no key
 * is used twice.
 */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  algorithms,
  DEFAULT_BITS,
  type GenerateKey,
  generateKey,
  type KeyPair,
} from '../../../src/keys/algorithms.ts'
import { root } from '../docs/documents.ts'

const FOLDER = join(root, 'node_modules/.cache/keyturn-keys')
/** More than almost all files need. */
const MOST = 64

let used = 0

/** For the next test file of the same process. */
export function reuseCachedKeys(): void {
  used = 0
}

export const cachedKeys: GenerateKey = async (alg, bits = DEFAULT_BITS) => {
  if (!algorithms[alg].sized || bits !== DEFAULT_BITS || used === MOST) return generateKey(alg, bits)
  used += 1
  const file = join(FOLDER, `rsa-${bits}-${used}.json`)
  const cached = read(file)
  // Only this member of a pair depends on what the key is used for.
  if (cached) return { ...cached, alg }
  const generated = await generateKey(alg, bits)
  write(file, generated)
  return generated
}

function read(file: string): KeyPair | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as KeyPair
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Written atomically: test files run concurrently, and any may be killed. */
function write(file: string, pair: KeyPair): void {
  mkdirSync(FOLDER, { recursive: true })
  const whole = `${file}.${process.pid}`
  writeFileSync(whole, JSON.stringify(pair), { mode: 0o600 })
  try {
    linkSync(whole, file)
  } catch (error) {
    // Another process was faster: both continue with what they have.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(whole)
  }
}
