import argon2 from 'argon2'
import type { Owner } from '../processes/data-folder.ts'

/** The calls of argon2 since the last reset, by their cost parameters. */
interface Argon2Work {
  verified: string[]
  hashed: number
  clear(): void
}

/** Watches the library itself, so that every path to it is counted. */
export function watchArgon2(owner: Owner): Argon2Work {
  const { hash, verify } = argon2
  const work: Argon2Work = {
    verified: [],
    hashed: 0,
    clear() {
      work.verified = []
      work.hashed = 0
    },
  }
  Object.assign(argon2, {
    hash(...args: Parameters<typeof hash>) {
      work.hashed += 1
      return hash(...args)
    },
    verify(...args: Parameters<typeof verify>) {
      work.verified.push(args[0].split('$').slice(1, 4).join('$'))
      return verify(...args)
    },
  })
  owner.teardown(() => Object.assign(argon2, { hash, verify }))
  return work
}
