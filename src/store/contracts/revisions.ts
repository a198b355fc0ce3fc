/**
 * Four counters that let a running node follow what others change without reading it all again: one for the
 * key ring, one for the registry (clients, APIs, roles), one for what was taken back, one for
 * the roots. Each grows in the same batch as the change itself.
 */
export interface Revisions {
  readonly ring: number
  readonly registry: number
  readonly status: number
  readonly roots: number
}

export interface RevisionStore {
  read(): Promise<Revisions>
}
