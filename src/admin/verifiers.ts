/** Verifiers: those that have identified themselves, and those that rotations wait for. */
import { durationText } from '../config/parsers.ts'
import { isVerifierName, publishedInOfNext } from '../keys/known-verifiers.ts'
import { isDotSegment } from '../path-segment.ts'
import { RETENTION } from '../store/retention.ts'
import type { Actor } from './actor.ts'
import type { LocalDeps } from './deps.ts'
import { invalidValue, notFound } from './errors.ts'
import { pageOf } from './page.ts'
import type { Changed, Page, PageQuery } from './verbs.ts'
import type { VerifierView } from './verifiers.schema.ts'

export interface VerifiersAdmin {
  /** The processes that were seen lately, in the order of their names, and then the expected names that were not. */
  list(query: PageQuery): Promise<Page<VerifierView>>
  /** From now on, rotations wait for verifiers of this name. @throws {AdminError} invalid-value */
  expect(name: string): Promise<Changed<{ readonly expected: string }>>
  /** Forgets all processes of the name, and rotations no longer wait for it. @throws {AdminError} not-found */
  forget(name: string): Promise<Changed<{ readonly forgotten: string }>>
}

type Deps = Pick<LocalDeps, 'store' | 'clock' | 'audit'>

export function createVerifiersAdmin({ store, clock, audit }: Deps, actor: Actor): VerifiersAdmin {
  const seenLately = () => store.verifiers.list(clock.now() - RETENTION.verifiers.seconds)

  return {
    async list(query) {
      const ring = await store.ring.read()
      const needed = ring ? publishedInOfNext(ring) : 0
      const known = await seenLately()
      const names = new Set(known.map(({ name }) => name))
      const unseen = (await store.verifiers.expected()).filter((name) => !names.has(name))
      const all: VerifierView[] = [
        ...known.map(({ name, instance, seenAt, ringVersion, expected }) => ({
          name,
          instance,
          expected,
          seen_at: seenAt,
          behind: ringVersion < needed,
        })),
        ...unseen.map((name) => ({ name, instance: null, expected: true, seen_at: null, behind: false })),
      ]
      return pageOf(
        all,
        query,
        ({ name, instance }) => `${name} ${instance ?? ''}`,
        ({ name, instance }) => [name, instance],
      )
    },

    async expect(name) {
      if (!isVerifierName(name) || isDotSegment(name)) {
        const rule = 'use up to 64 letters, digits, dots, hyphens and underscores'
        throw invalidValue('name', `${name} is not a valid verifier name: ${rule}`)
      }
      if (await store.verifiers.expect(name, clock.now()))
        audit('verifier.expected', { actor: actor.name, target: name })
      const isKnown = (await seenLately()).some((verifier) => verifier.name === name)
      const period = durationText(RETENTION.verifiers.seconds)
      // `behind` knows only verifiers that have fetched a JWKS: another has none that it could keep.
      const note = `no verifier named ${name} has fetched the JWKS in the last ${period}, and rotations do not wait for it before one does`
      return { value: { expected: name }, revision: null, notes: isKnown ? [] : [note] }
    },

    async forget(name) {
      if (!(await store.verifiers.delete(name))) throw notFound(`there is no verifier ${name}`)
      audit('verifier.deleted', { actor: actor.name, target: name })
      return { value: { forgotten: name }, revision: null, notes: [] }
    },
  }
}
